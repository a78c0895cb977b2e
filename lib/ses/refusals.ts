/** Operations of SES that this service refuses, and why; what is not here and has no handler is not offered yet. */
import { PosternError } from '../errors.ts';
import type { SesOperationName } from './types.ts';

const DASHBOARD =
  'it is a paid dashboard of Amazon that sends to mailboxes of its own and reads feeds of mailbox providers.';
const CERTIFICATES =
  'it signs by S/MIME with certificates of AWS Certificate Manager. Sign before you send, and use Raw.';
const REGIONS =
  'one installation is one region. Put two installations behind a name of your own, and send without EndpointId.';

/** The reason, as the end of a sentence that begins with the operation. */
const REASONS: Partial<Record<SesOperationName, string>> = {
  AssociateEmailIdentityCertificate: CERTIFICATES,
  DisassociateEmailIdentityCertificate: CERTIFICATES,
  ListEmailIdentityCertificates: CERTIFICATES,
  PutConfigurationSetArchivingOptions:
    'it writes to an archive of Amazon SES Mail Manager. Keep copies by an event destination, or by Bcc.',
  PutAccountPricingAttributes: 'it changes the price plan of an account with Amazon, and there is none here.',
  CreateMultiRegionEndpoint: REGIONS,
  DeleteMultiRegionEndpoint: REGIONS,
  GetMultiRegionEndpoint: REGIONS,
  ListMultiRegionEndpoints: REGIONS,
  CreateDeliverabilityTestReport: DASHBOARD,
  GetBlacklistReports: DASHBOARD,
  GetDeliverabilityDashboardOptions: DASHBOARD,
  GetDeliverabilityTestReport: DASHBOARD,
  GetDomainDeliverabilityCampaign: DASHBOARD,
  GetDomainStatisticsReport: DASHBOARD,
  ListDeliverabilityTestReports: DASHBOARD,
  ListDomainDeliverabilityCampaigns: DASHBOARD,
  PutDeliverabilityDashboardOption: DASHBOARD,
};

/** Operations that are refused for good. */
export const REFUSED: ReadonlySet<string> = new Set(Object.keys(REASONS));

/** Operations that are answered, and what of each is refused or differs. */
export const PARTIAL: Partial<Record<SesOperationName, string>> = {
  CreateConfigurationSet:
    'An ArchiveArn, an SmimeScheme, and ENABLED for OptimizedSharedDelivery or ValidationOptions are refused.',
  SendBulkEmail: 'EndpointId is refused: an installation is one region.',
  SendEmail: 'EndpointId is refused: an installation is one region.',
  PutAccountSuppressionAttributes: 'ValidationAttributes ENABLED are refused.',
  PutAccountVdmAttributes: 'OptimizedSharedDelivery ENABLED is refused: there are no shared addresses.',
  PutConfigurationSetSuppressionOptions: 'ValidationOptions ENABLED are refused.',
  PutConfigurationSetVdmOptions: 'OptimizedSharedDelivery ENABLED is refused: there are no shared addresses.',
  UpdateConfigurationSet: 'An SmimeScheme is refused.',
};

/** Why an operation is refused for good, as the end of a sentence; undefined when it is not. */
export function reasonOf(operation: SesOperationName): string | undefined {
  return REASONS[operation];
}

/** The refusal of an operation that has no handler: a 400, which SDKs do not repeat. */
export function refusalOf(operation: string): PosternError {
  const reason = reasonOf(operation as SesOperationName);
  return new PosternError(
    'unsupported_operation',
    `${operation} is not supported by this service${reason === undefined ? '.' : `: ${reason}`}`,
  );
}
