/**
 * How many addresses an interface of an instance may have, for types on arm64. A node's addresses are all on its first
 * interface. EC2 user guide, "Maximum IP addresses per network interface"; the same figures follow from
 * misc/eni-max-pods.txt of aws/amazon-vpc-cni-k8s: interfaces × (addresses − 1) + 2.
 */

/** Burstable types. */
const T4G: Readonly<Record<string, number>> = {
  nano: 2,
  micro: 2,
  small: 4,
  medium: 6,
  large: 12,
  xlarge: 15,
  '2xlarge': 15,
};

/** Types of the other families, which are alike. */
const OTHERS: Readonly<Record<string, number>> = {
  medium: 4,
  large: 10,
  xlarge: 15,
  '2xlarge': 15,
  '4xlarge': 30,
  '8xlarge': 30,
  '12xlarge': 30,
  '16xlarge': 50,
};
const FAMILY = /^[cmr][678]gn?d?$/;

const VCPUS: Readonly<Record<string, number>> = {
  nano: 2,
  micro: 2,
  small: 2,
  medium: 1,
  large: 2,
  xlarge: 4,
  '2xlarge': 8,
  '4xlarge': 16,
  '8xlarge': 32,
  '12xlarge': 48,
  '16xlarge': 64,
};

export interface InstanceLimits {
  /** Addresses of one interface. */
  addresses: number;
  vcpus: number;
}

/** The limits of a type, or undefined for one that is not on arm64 or not in the tables. */
export function instanceLimits(type: string): InstanceLimits | undefined {
  const [family = '', size = ''] = type.split('.');
  const burstable = family === 't4g';
  const sizes = burstable ? T4G : FAMILY.test(family) ? OTHERS : {};
  const addresses = sizes[size];
  if (addresses === undefined) return undefined;
  return { addresses, vcpus: burstable && size === 'medium' ? 2 : VCPUS[size]! };
}
