/**
 * Makes and reads the links by which the owner of an address confirms it, in verification mails:
 *
 *     /t/v/<token>      sealed (seal.ts): tenant, address, when its identity was made, template, when the link ends
 *
 * A link serves this one purpose, for one identity: when that is deleted and made again, its links are void.
 */
import { DAY } from '../time.ts';
import { TRACKING_PATH } from './links.ts';
import { createSeal } from './seal.ts';

/** SES: the link of a verification mail ends after 24 hours. */
export const VERIFICATION_LIFE = DAY;

const PATH = /^\/t\/v\/([\w-]{40,2048})$/;
/** Verification links are of this service itself, whatever name it is reached by. */
const BOUND = 'verification';

export interface AddressVerification {
  tenant: string;
  address: string;
  /** When the identity was made, ms. */
  createdAt: number;
  /** Template of the mail, which names where readers go next. */
  template: string;
  /** When the link ends, ms. */
  expiresAt: number;
}

export interface VerificationLinks {
  make(verification: AddressVerification): string;
  /** Reads a path; undefined when it was not made here or was altered. One that has ended is read. */
  read(path: string): AddressVerification | undefined;
}

/** Makes links that are sealed with a secret, which all makers and readers share. */
export function createVerificationLinks(secret: Buffer): VerificationLinks {
  const seal = createSeal(secret, 'verification');
  return {
    make({ tenant, address, createdAt, template, expiresAt }) {
      const content = JSON.stringify([tenant, address, createdAt, template, expiresAt]);
      return `${TRACKING_PATH}/v/${seal.close(Buffer.from(content), BOUND)}`;
    },

    read(path) {
      const match = PATH.exec(path);
      const content = match && seal.open(match[1]!, BOUND);
      if (!content) return undefined;
      const [tenant, address, createdAt, template, expiresAt] = JSON.parse(content.toString()) as [
        string,
        string,
        number,
        string,
        number,
      ];
      return { tenant, address, createdAt, template, expiresAt };
    },
  };
}
