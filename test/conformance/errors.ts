/** Errors of the model that apply, and a call that provokes each. What does not apply is named with its reason. */
import type { SesOperationName } from '../../lib/ses/types.ts';
import type { Input } from './service.ts';

/** Errors that no call here can meet, and why. */
export const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  TooManyRequestsException: 'calls that configure are not throttled',
  ConcurrentModificationException: 'a change that meets another one is repeated on the newer state',
  InternalServiceErrorException: 'a fault of storage is a 503 of any operation',
  AccountSuspendedException: 'no provider suspends an account here; a paused one is SendingPausedException',
  MailFromDomainNotVerifiedException: 'USE_DEFAULT_VALUE and REJECT_MESSAGE are tested with a DNS server',
};

const JOBS = 'test/unit/api/ses-jobs.test.ts is at the edge of the bound';
const NOTHING_TO_FIND = 'it names nothing that could be missing';
const ONE_AFTER_THE_OTHER = 'of two changes at one time the second is repeated on the newer state';
const THOUSANDS = 'the bound is thousands: test/unit/control-store.test.ts is at its edge';

const QUOTA = 'no operation of SES sets a daily quota: test/unit/api/ses-quota.test.ts is at its edge';

/** CONFIGURATION_SET_NOT_FOUND, TEMPLATE_NOT_FOUND, ACCOUNT_SENDING_PAUSED. */
const BY_ENTRY = 'the answer says it of each entry (API_BulkEmailEntryResult)';

/** Errors of one operation that do not apply, and why. */
export const NOT_APPLICABLE_TO: Partial<Record<SesOperationName, Readonly<Record<string, string>>>> = {
  GetAccount: { BadRequestException: 'it takes nothing' },
  BatchGetMetricData: { NotFoundException: 'what no mail had is counted as 0' },
  CreateConfigurationSet: { LimitExceededException: THOUSANDS, NotFoundException: NOTHING_TO_FIND },
  CreateContactList: {
    AlreadyExistsException:
      'a tenant has one list, so that a second is one too many, whatever its name (as in SES)',
    LimitExceededException: 'as in SES, a second list is a BadRequestException',
  },
  CreateDedicatedIpPool: { LimitExceededException: 'pools are bounded by the document they stand in' },
  CreateEmailIdentity: { LimitExceededException: THOUSANDS },
  CreateExportJob: { LimitExceededException: JOBS, NotFoundException: NOTHING_TO_FIND },
  CreateImportJob: { LimitExceededException: JOBS },
  CreateEmailTemplate: { LimitExceededException: THOUSANDS },
  GetDedicatedIps: { NotFoundException: 'a pool without addresses has none to show' },
  CreateTenant: { LimitExceededException: 'there may be as many tenants as there is room for' },
  PutAccountDetails: { ConflictException: 'details are kept, and nobody reviews them' },
  SendCustomVerificationEmail: { LimitExceededException: THOUSANDS },
  UpdateReputationEntityCustomerManagedStatus: { ConflictException: ONE_AFTER_THE_OTHER },
  UpdateReputationEntityPolicy: { ConflictException: ONE_AFTER_THE_OTHER },
  SendEmail: { LimitExceededException: QUOTA },
  SendBulkEmail: {
    LimitExceededException: BY_ENTRY,
    NotFoundException: BY_ENTRY,
    SendingPausedException: BY_ENTRY,
  },
};

const SET = { ConfigurationSetName: 'kept' };
const IDENTITY = { EmailIdentity: 'kept.example' };
const TEMPLATE = { TemplateName: 'kept' };
const LIST = { ContactListName: 'kept' };
const CONTACT = { ...LIST, EmailAddress: 'kept@example.net' };
const POOL = { PoolName: 'kept' };
const TENANT = { TenantName: 'kept' };
const TENANT_IDENTITY = {
  ...TENANT,
  ResourceArn: 'arn:aws:ses:us-east-1:000000000000:identity/kept.example',
};
const POLICY = {
  ...IDENTITY,
  PolicyName: 'kept',
  Policy: JSON.stringify({
    Statement: [{ Effect: 'Deny', Principal: '*', Action: 'ses:SendRawEmail', Resource: '*' }],
  }),
};
const CONTENT = { Subject: 'Hello', Text: 'Hello' };
const DESTINATION = {
  ...SET,
  EventDestinationName: 'kept',
  EventDestination: {
    Enabled: false,
    MatchingEventTypes: ['BOUNCE'],
    SnsDestination: { TopicArn: 'arn:aws:sns:us-east-1:123456789012:bounces' },
  },
};
const MESSAGE = {
  FromEmailAddress: 'news@kept.example',
  Destination: { ToAddresses: ['ann@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'Hello' } } } },
};
const VERIFICATION = {
  TemplateName: 'kept',
  FromEmailAddress: MESSAGE.FromEmailAddress,
  TemplateSubject: 'Confirm',
  TemplateContent: '<p>Please confirm.</p>',
  SuccessRedirectionURL: 'https://kept.example/done',
  FailureRedirectionURL: 'https://kept.example/failed',
};
const BULK = {
  FromEmailAddress: MESSAGE.FromEmailAddress,
  DefaultContent: { Template: { ...TEMPLATE, TemplateData: '{}' } },
  BulkEmailEntries: [{ Destination: MESSAGE.Destination }],
};

/** Calls that make what the provocations need. */
export const PREPARATION: readonly [operation: SesOperationName, input: Input][] = [
  ['CreateEmailIdentity', IDENTITY],
  ['CreateConfigurationSet', SET],
  ['CreateEmailTemplate', { ...TEMPLATE, TemplateContent: CONTENT }],
  ['CreateDedicatedIpPool', POOL],
  ['CreateConfigurationSetEventDestination', DESTINATION],
  ['CreateCustomVerificationEmailTemplate', VERIFICATION],
  ['CreateContactList', LIST],
  ['CreateContact', CONTACT],
  ['CreateEmailIdentityPolicy', POLICY],
  ['CreateTenant', TENANT],
  ['CreateTenantResourceAssociation', TENANT_IDENTITY],
];

const UNKNOWN_ENTITY = {
  ReputationEntityReference: 'arn:aws:ses:us-east-1:000000000000:tenant/none/tn-0',
};
const UNKNOWN_RESOURCE = { ResourceArn: 'arn:aws:ses:us-east-1:000000000000:identity/none.example' };

/** Members that name what there is not: with them the first valid call of the operation fails. */
export const UNKNOWN: Partial<Record<SesOperationName, Input>> = {
  CancelExportJob: { JobId: 'none' },
  CreateConfigurationSetEventDestination: { ConfigurationSetName: 'none' },
  CreateContact: { ContactListName: 'none' },
  CreateCustomVerificationEmailTemplate: { ...VERIFICATION, FromEmailAddress: 'a@none.example' },
  CreateEmailIdentity: { EmailIdentity: 'other.example', ConfigurationSetName: 'none' },
  CreateEmailIdentityPolicy: { EmailIdentity: 'none.example' },
  DeleteEmailIdentityPolicy: { ...IDENTITY, PolicyName: 'none' },
  GetEmailIdentityPolicies: { EmailIdentity: 'none.example' },
  UpdateEmailIdentityPolicy: { ...POLICY, PolicyName: 'none' },
  CreateTenantResourceAssociation: { TenantName: 'none' },
  DeleteTenant: { TenantName: 'none' },
  DeleteTenantResourceAssociation: { TenantName: 'none' },
  GetReputationEntity: UNKNOWN_ENTITY,
  GetTenant: { TenantName: 'none' },
  ListResourceTenants: UNKNOWN_RESOURCE,
  ListSuppressedDestinations: { TenantName: 'none' },
  ListTenantResources: { TenantName: 'none' },
  PutSuppressedDestination: { TenantName: 'none' },
  PutTenantSuppressionAttributes: { TenantName: 'none' },
  DeleteConfigurationSet: { ConfigurationSetName: 'none' },
  DeleteConfigurationSetEventDestination: { ...SET, EventDestinationName: 'none' },
  DeleteContact: { ...LIST, EmailAddress: 'none@example.net' },
  DeleteContactList: { ContactListName: 'none' },
  DeleteCustomVerificationEmailTemplate: { TemplateName: 'none' },
  DeleteDedicatedIpPool: { PoolName: 'none' },
  DeleteEmailIdentity: { EmailIdentity: 'none.example' },
  DeleteEmailTemplate: { TemplateName: 'none' },
  DeleteSuppressedDestination: { EmailAddress: 'none@example.net' },
  GetConfigurationSet: { ConfigurationSetName: 'none' },
  GetConfigurationSetEventDestinations: { ConfigurationSetName: 'none' },
  GetContact: { ...LIST, EmailAddress: 'none@example.net' },
  GetContactList: { ContactListName: 'none' },
  GetCustomVerificationEmailTemplate: { TemplateName: 'none' },
  GetDedicatedIp: { Ip: '192.0.2.1' },
  GetDedicatedIpPool: { PoolName: 'none' },
  GetEmailIdentity: { EmailIdentity: 'none.example' },
  GetEmailTemplate: { TemplateName: 'none' },
  GetExportJob: { JobId: 'none' },
  GetImportJob: { JobId: 'none' },
  GetMessageInsights: { MessageId: '0100000000000000-00000000-0000-4000-8000-000000000000-000000' },
  GetSuppressedDestination: { EmailAddress: 'none@example.net' },
  ListContacts: { ContactListName: 'none' },
  PutConfigurationSetDeliveryOptions: { ConfigurationSetName: 'none' },
  PutConfigurationSetReputationOptions: { ConfigurationSetName: 'none' },
  PutConfigurationSetSendingOptions: { ConfigurationSetName: 'none' },
  PutConfigurationSetSuppressionOptions: { ConfigurationSetName: 'none' },
  PutConfigurationSetTrackingOptions: { ConfigurationSetName: 'none' },
  PutConfigurationSetVdmOptions: { ConfigurationSetName: 'none' },
  PutDedicatedIpInPool: { Ip: '192.0.2.1' },
  PutDedicatedIpPoolScalingAttributes: { PoolName: 'none' },
  PutDedicatedIpWarmupAttributes: { Ip: '192.0.2.1' },
  PutEmailIdentityConfigurationSetAttributes: { EmailIdentity: 'none.example' },
  PutEmailIdentityDkimAttributes: { EmailIdentity: 'none.example' },
  PutEmailIdentityDkimSigningAttributes: { EmailIdentity: 'none.example' },
  PutEmailIdentityFeedbackAttributes: { EmailIdentity: 'none.example' },
  PutEmailIdentityMailFromAttributes: {
    EmailIdentity: 'none.example',
    MailFromDomain: 'bounce.none.example',
  },
  SendCustomVerificationEmail: { TemplateName: 'none' },
  SendEmail: { ...MESSAGE, ConfigurationSetName: 'none' },
  ListRecommendations: { Filter: { RESOURCE_ARN: UNKNOWN_RESOURCE.ResourceArn } },
  ListTagsForResource: UNKNOWN_RESOURCE,
  TagResource: UNKNOWN_RESOURCE,
  TestRenderEmailTemplate: { TemplateName: 'none' },
  UntagResource: UNKNOWN_RESOURCE,
  UpdateConfigurationSet: { ConfigurationSetName: 'none' },
  UpdateConfigurationSetEventDestination: { ...SET, EventDestinationName: 'none' },
  UpdateContact: { ...LIST, EmailAddress: 'none@example.net' },
  UpdateContactList: { ContactListName: 'none' },
  UpdateCustomVerificationEmailTemplate: { ...VERIFICATION, TemplateName: 'none' },
  UpdateEmailTemplate: { TemplateName: 'none' },
};

/** A call that must fail by an error of the model. */
export interface Provocation {
  operation: SesOperationName;
  error: string;
  input: Input;
  /** Calls before it, which succeed. */
  before?: readonly (readonly [operation: SesOperationName, input: Input])[];
  /** Calls after it, which succeed. */
  afterwards?: readonly (readonly [operation: SesOperationName, input: Input])[];
}

/** What is made twice. */
const twice: Provocation[] = PREPARATION.filter(([operation]) => operation !== 'CreateContactList').map(
  ([operation, input]) => ({
    operation,
    error: 'AlreadyExistsException',
    input,
  }),
);

const SENT_VERIFICATION = {
  TemplateName: 'kept',
  EmailAddress: 'hal@example.net',
  ConfigurationSetName: 'kept',
};

/** The name of each destination that fills a set, beside the one that is there. */
const filling = Array.from({ length: 9 }, (_, i) => ({ ...DESTINATION, EventDestinationName: `more-${i}` }));

const PAUSE = [['PutAccountSendingAttributes', { SendingEnabled: false }]] as const;
const RESUME = [['PutAccountSendingAttributes', { SendingEnabled: true }]] as const;

export const PROVOCATIONS: readonly Provocation[] = [
  ...twice,
  {
    operation: 'CreateEmailIdentityPolicy',
    error: 'LimitExceededException',
    before: Array.from(
      { length: 19 },
      (_, i) => ['CreateEmailIdentityPolicy', { ...POLICY, PolicyName: `more-${i}` }] as const,
    ),
    input: { ...POLICY, PolicyName: 'too-many' },
  },
  {
    operation: 'CreateConfigurationSetEventDestination',
    error: 'LimitExceededException',
    before: filling.map((input) => ['CreateConfigurationSetEventDestination', input] as const),
    input: { ...DESTINATION, EventDestinationName: 'too-many' },
  },
  {
    operation: 'CreateCustomVerificationEmailTemplate',
    error: 'LimitExceededException',
    before: Array.from(
      { length: 49 },
      (_, i) =>
        ['CreateCustomVerificationEmailTemplate', { ...VERIFICATION, TemplateName: `more-${i}` }] as const,
    ),
    input: { ...VERIFICATION, TemplateName: 'too-many' },
  },
  {
    operation: 'SendCustomVerificationEmail',
    error: 'MessageRejected',
    before: [
      ['CreateEmailIdentity', { EmailIdentity: 'left.example' }],
      ['UpdateCustomVerificationEmailTemplate', { ...VERIFICATION, FromEmailAddress: 'news@left.example' }],
      ['DeleteEmailIdentity', { EmailIdentity: 'left.example' }],
    ],
    input: SENT_VERIFICATION,
    afterwards: [['UpdateCustomVerificationEmailTemplate', VERIFICATION]],
  },
  {
    operation: 'SendCustomVerificationEmail',
    error: 'SendingPausedException',
    before: PAUSE,
    input: SENT_VERIFICATION,
    afterwards: RESUME,
  },
  {
    operation: 'ListSuppressedDestinations',
    error: 'InvalidNextTokenException',
    input: { NextToken: 'from another query' },
  },
  {
    operation: 'SendEmail',
    error: 'MessageRejected',
    input: { ...MESSAGE, FromEmailAddress: 'a@none.example' },
  },
  {
    operation: 'SendBulkEmail',
    error: 'MessageRejected',
    input: { ...BULK, FromEmailAddress: 'a@none.example' },
  },
  {
    operation: 'SendEmail',
    error: 'SendingPausedException',
    input: MESSAGE,
    before: PAUSE,
    afterwards: RESUME,
  },
];
