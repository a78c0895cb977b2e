/**
 * Valid calls of every operation, in an order in which each finds what it needs. The first call of an operation is
 * also the one from which refused inputs are made.
 */
import type { SesOperationName } from '../../lib/ses/types.ts';
import type { Input } from './service.ts';

/** What earlier answers gave, by name. */
export type Known = Record<string, string>;

export interface Example {
  operation: SesOperationName;
  input: Input | ((known: Known) => Input);
  /** Keeps members of the answer under a name, for later calls. */
  keep?: (output: Record<string, unknown>) => Known;
}

const one = (operation: SesOperationName, input: Example['input'] = {}, keep?: Example['keep']): Example => ({
  operation,
  input,
  keep,
});

const SENDER = 'news@example.com';
const SET = { ConfigurationSetName: 'set' };
const DESTINATION = { ...SET, EventDestinationName: 'hook' };
const IDENTITY = { EmailIdentity: 'example.com' };
const TEMPLATE = { TemplateName: 'welcome' };
const POOL = { PoolName: 'spare' };
const IP = { Ip: '127.0.0.2' };
const TAGS = [{ Key: 'team', Value: 'shop' }];
const TEMPLATE_CONTENT = { Subject: 'Hello {{name}}', Text: 'Hello {{name}}', Html: '<p>Hello {{name}}</p>' };
const SIMPLE = { Simple: { Subject: { Data: 'Hello' }, Body: { Text: { Data: 'Hello' } } } };

const identities: Example[] = [
  one('CreateEmailIdentity', { ...IDENTITY, Tags: TAGS }),
  one('GetEmailIdentity', IDENTITY),
  one('ListEmailIdentities', { PageSize: 10 }),
  one('PutEmailIdentityDkimAttributes', { ...IDENTITY, SigningEnabled: true }),
  one('PutEmailIdentityDkimSigningAttributes', {
    ...IDENTITY,
    SigningAttributesOrigin: 'AWS_SES',
    SigningAttributes: { NextSigningKeyLength: 'RSA_2048_BIT' },
  }),
  // Deterministic Easy DKIM of the service's own region.
  one('PutEmailIdentityDkimSigningAttributes', { ...IDENTITY, SigningAttributesOrigin: 'AWS_SES_US_EAST_1' }),
  one('PutEmailIdentityFeedbackAttributes', { ...IDENTITY, EmailForwardingEnabled: false }),
  one('PutEmailIdentityMailFromAttributes', {
    ...IDENTITY,
    MailFromDomain: 'bounce.example.com',
    BehaviorOnMxFailure: 'USE_DEFAULT_VALUE',
  }),
];

const POLICY = {
  ...IDENTITY,
  PolicyName: 'partner',
  Policy: JSON.stringify({
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:ses:us-east-1:000000000000:tenant/partner' },
      Action: 'ses:SendEmail',
      Resource: 'arn:aws:ses:us-east-1:000000000000:identity/example.com',
      Condition: { StringLike: { 'ses:FromAddress': '*@example.com' } },
    },
  }),
};

const policies: Example[] = [
  one('CreateEmailIdentityPolicy', POLICY),
  one('GetEmailIdentityPolicies', IDENTITY),
  one('UpdateEmailIdentityPolicy', POLICY),
  one('DeleteEmailIdentityPolicy', { ...IDENTITY, PolicyName: 'partner' }),
];

const sets: Example[] = [
  one('CreateConfigurationSet', { ...SET, Tags: TAGS, SendingOptions: { SendingEnabled: true } }),
  one('GetConfigurationSet', SET),
  one('ListConfigurationSets', { PageSize: 10 }),
  one('UpdateConfigurationSet', { ...SET, SendingOptions: { SendingEnabled: true } }),
  one('PutConfigurationSetDeliveryOptions', { ...SET, TlsPolicy: 'OPTIONAL', MaxDeliverySeconds: 3600 }),
  one('PutConfigurationSetReputationOptions', { ...SET, ReputationMetricsEnabled: true }),
  one('PutConfigurationSetSendingOptions', { ...SET, SendingEnabled: true }),
  one('PutConfigurationSetSuppressionOptions', { ...SET, SuppressedReasons: ['BOUNCE', 'COMPLAINT'] }),
  one('PutConfigurationSetTrackingOptions', SET),
  one('PutConfigurationSetVdmOptions', {
    ...SET,
    VdmOptions: { DashboardOptions: { EngagementMetrics: 'DISABLED' } },
  }),
  one('PutEmailIdentityConfigurationSetAttributes', { ...IDENTITY, ...SET }),
  one('CreateConfigurationSetEventDestination', {
    ...DESTINATION,
    EventDestination: {
      Enabled: false,
      MatchingEventTypes: ['BOUNCE', 'COMPLAINT'],
      SnsDestination: { TopicArn: 'arn:aws:sns:us-east-1:123456789012:bounces' },
    },
  }),
  one('GetConfigurationSetEventDestinations', SET),
  one('UpdateConfigurationSetEventDestination', {
    ...DESTINATION,
    EventDestination: {
      Enabled: false,
      MatchingEventTypes: ['DELIVERY'],
      SnsDestination: { TopicArn: 'arn:aws:sns:us-east-1:123456789012:bounces' },
    },
  }),
];

const templates: Example[] = [
  one('CreateEmailTemplate', { ...TEMPLATE, TemplateContent: TEMPLATE_CONTENT, Tags: TAGS }),
  one('GetEmailTemplate', TEMPLATE),
  one('ListEmailTemplates', { PageSize: 10 }),
  one('UpdateEmailTemplate', { ...TEMPLATE, TemplateContent: { ...TEMPLATE_CONTENT, Text: 'Hi {{name}}' } }),
  one('TestRenderEmailTemplate', { ...TEMPLATE, TemplateData: '{"name":"Ann"}' }),
];

const VERIFICATION = { TemplateName: 'confirm' };
const VERIFICATION_MAIL = {
  ...VERIFICATION,
  FromEmailAddress: SENDER,
  TemplateSubject: 'Confirm your address',
  TemplateContent: '<p>Please confirm.</p>',
  SuccessRedirectionURL: 'https://example.com/done',
  FailureRedirectionURL: 'https://example.com/failed',
};

const verification: Example[] = [
  one('CreateCustomVerificationEmailTemplate', { ...VERIFICATION_MAIL, Tags: TAGS }),
  one('GetCustomVerificationEmailTemplate', VERIFICATION),
  one('ListCustomVerificationEmailTemplates', { PageSize: 10 }),
  one('UpdateCustomVerificationEmailTemplate', { ...VERIFICATION_MAIL, TemplateSubject: 'Please confirm' }),
  one('SendCustomVerificationEmail', { ...VERIFICATION, EmailAddress: 'gil@example.net', ...SET }),
  one('DeleteCustomVerificationEmailTemplate', VERIFICATION),
];

const TENANT = { TenantName: 'shop' };
const ARN = 'arn:aws:ses:us-east-1:000000000000';
const TENANT_IDENTITY = { ...TENANT, ResourceArn: `${ARN}:identity/example.com` };
const TENANT_SET = { ...TENANT, ResourceArn: `${ARN}:configuration-set/set` };
const ENTITY = ({ tenant }: Known): Input => ({
  ReputationEntityType: 'RESOURCE',
  ReputationEntityReference: tenant!,
});

const tenants: Example[] = [
  one(
    'CreateTenant',
    {
      ...TENANT,
      Tags: TAGS,
      SuppressionAttributes: { SuppressionScope: 'TENANT', SuppressedReasons: ['COMPLAINT'] },
    },
    ({ TenantArn }) => ({ tenant: TenantArn as string }),
  ),
  one('GetTenant', TENANT),
  one('ListTenants', { Filter: { TENANT_NAME_CONTAINS: 'sho', SENDING_STATUS: 'ENABLED' }, PageSize: 10 }),
  one('CreateTenantResourceAssociation', TENANT_IDENTITY),
  one('CreateTenantResourceAssociation', TENANT_SET),
  one('ListTenantResources', { ...TENANT, Filter: { RESOURCE_TYPE: 'EMAIL_IDENTITY' }, PageSize: 10 }),
  one('ListResourceTenants', { ResourceArn: TENANT_IDENTITY.ResourceArn, PageSize: 10 }),
  one('PutTenantSuppressionAttributes', {
    ...TENANT,
    SuppressionScope: 'ACCOUNT',
    SuppressedReasons: ['BOUNCE'],
  }),
  one('GetReputationEntity', ENTITY),
  one('UpdateReputationEntityPolicy', (known) => ({
    ...ENTITY(known),
    ReputationEntityPolicy: 'arn:aws:ses:us-east-1:aws:reputation-policy/strict',
  })),
  one('UpdateReputationEntityCustomerManagedStatus', (known) => ({
    ...ENTITY(known),
    SendingStatus: 'REINSTATED',
  })),
  one('ListReputationEntities', {
    Filter: { ENTITY_TYPE: 'RESOURCE', SENDING_STATUS: 'REINSTATED' },
    PageSize: 10,
  }),
  one('SendEmail', {
    ...TENANT,
    FromEmailAddress: SENDER,
    Destination: { ToAddresses: ['ann@example.net'] },
    Content: SIMPLE,
    ...SET,
  }),
  one('DeleteTenantResourceAssociation', TENANT_SET),
  one('DeleteTenantResourceAssociation', TENANT_IDENTITY),
  one('DeleteTenant', TENANT),
];

const sending: Example[] = [
  one(
    'SendEmail',
    {
      FromEmailAddress: SENDER,
      Destination: { ToAddresses: ['ann@example.net'], CcAddresses: ['bob@example.net'] },
      ReplyToAddresses: ['help@example.com'],
      Content: SIMPLE,
      EmailTags: [{ Name: 'campaign', Value: 'spring' }],
      ...SET,
    },
    ({ MessageId }) => ({ message: MessageId as string }),
  ),
  one('SendEmail', {
    Content: {
      Raw: {
        Data: Buffer.from(`From: ${SENDER}\r\nTo: cay@example.net\r\nSubject: Raw\r\n\r\nHello\r\n`),
      },
    },
  }),
  one('SendEmail', {
    FromEmailAddress: SENDER,
    Destination: { ToAddresses: ['dan@example.net'] },
    Content: { Template: { ...TEMPLATE, TemplateData: '{"name":"Dan"}' } },
  }),
  one('SendBulkEmail', {
    FromEmailAddress: SENDER,
    DefaultContent: { Template: { ...TEMPLATE, TemplateData: '{"name":"you"}' } },
    BulkEmailEntries: [
      { Destination: { ToAddresses: ['eve@example.net'] } },
      {
        Destination: { ToAddresses: ['fay@example.net'] },
        ReplacementEmailContent: { ReplacementTemplate: { ReplacementTemplateData: '{"name":"Fay"}' } },
      },
    ],
  }),
];

const insights: Example[] = [
  one('GetMessageInsights', ({ message }) => ({ MessageId: message })),
  one('BatchGetMetricData', {
    Queries: [
      {
        Id: 'sent',
        Namespace: 'VDM',
        Metric: 'SEND',
        StartDate: new Date(Date.UTC(2026, 0, 1)),
        EndDate: new Date(Date.UTC(2026, 0, 3)),
      },
    ],
  }),
];

const advice: Example[] = [
  one('ListRecommendations', { Filter: { TYPE: 'DKIM' }, PageSize: 10 }),
  one('GetEmailAddressInsights', { EmailAddress: 'ann@example.net' }),
];

const suppression: Example[] = [
  one('PutSuppressedDestination', { EmailAddress: 'gone@example.net', Reason: 'BOUNCE' }),
  one('GetSuppressedDestination', { EmailAddress: 'gone@example.net' }),
  one('ListSuppressedDestinations', { Reasons: ['BOUNCE'], PageSize: 10 }),
  one('DeleteSuppressedDestination', { EmailAddress: 'gone@example.net' }),
];

const LIST = { ContactListName: 'news' };
const CONTACT = { ...LIST, EmailAddress: 'ann@example.net' };
const PREFERENCES = [{ TopicName: 'tips', SubscriptionStatus: 'OPT_IN' }];

const contacts: Example[] = [
  one('CreateContactList', {
    ...LIST,
    Description: 'News of the shop',
    Topics: [
      { TopicName: 'tips', DisplayName: 'Tips', Description: 'Weekly', DefaultSubscriptionStatus: 'OPT_IN' },
      { TopicName: 'offers', DisplayName: 'Offers', DefaultSubscriptionStatus: 'OPT_OUT' },
    ],
    Tags: [{ Key: 'team', Value: 'shop' }],
  }),
  one('GetContactList', LIST),
  one('ListContactLists', { PageSize: 10 }),
  one('UpdateContactList', { ...LIST, Description: 'News' }),
  one('CreateContact', { ...CONTACT, TopicPreferences: PREFERENCES, AttributesData: '{"name":"Ann"}' }),
  one('GetContact', CONTACT),
  one('UpdateContact', { ...CONTACT, TopicPreferences: PREFERENCES, UnsubscribeAll: true }),
  one('ListContacts', {
    ...LIST,
    Filter: { FilteredStatus: 'OPT_OUT', TopicFilter: { TopicName: 'tips' } },
    PageSize: 10,
  }),
  one('DeleteContact', CONTACT),
  one('DeleteContactList', LIST),
];

/** An export that no worker takes, made by `ConformanceService`. */
export const HELD_EXPORT = 'held-export';
const RANGE = { StartDate: new Date(Date.UTC(2026, 0, 1)), EndDate: new Date(Date.UTC(2026, 0, 3)) };

const jobs: Example[] = [
  one(
    'CreateImportJob',
    {
      ImportDestination: { SuppressionListDestination: { SuppressionListImportAction: 'PUT' } },
      ImportDataSource: { S3Url: 's3://conformance/list.csv', DataFormat: 'CSV' },
    },
    ({ JobId }) => ({ importJob: JobId as string }),
  ),
  one('GetImportJob', ({ importJob }) => ({ JobId: importJob })),
  one('ListImportJobs', { ImportDestinationType: 'SUPPRESSION_LIST', PageSize: 10 }),
  one('CreateExportJob', {
    ExportDataSource: {
      MetricsDataSource: {
        ...RANGE,
        Namespace: 'VDM',
        Dimensions: { ISP: ['*'] },
        Metrics: [{ Name: 'SEND', Aggregation: 'VOLUME' }],
      },
    },
    ExportDestination: { DataFormat: 'CSV' },
  }),
  one(
    'CreateExportJob',
    {
      ExportDataSource: {
        MessageInsightsDataSource: { ...RANGE, Include: { Isp: ['Gmail'] }, MaxResults: 10 },
      },
      ExportDestination: { DataFormat: 'JSON' },
    },
    ({ JobId }) => ({ exportJob: JobId as string }),
  ),
  one('GetExportJob', ({ exportJob }) => ({ JobId: exportJob })),
  one('CancelExportJob', { JobId: HELD_EXPORT }),
  one('ListExportJobs', { ExportSourceType: 'MESSAGE_INSIGHTS', PageSize: 10 }),
];

const dedicated: Example[] = [
  one('CreateDedicatedIpPool', { ...POOL, ScalingMode: 'STANDARD' }),
  one('GetDedicatedIpPool', POOL),
  one('ListDedicatedIpPools', { PageSize: 10 }),
  one('PutDedicatedIpPoolScalingAttributes', { ...POOL, ScalingMode: 'MANAGED' }),
  one('GetDedicatedIps', { PageSize: 10 }),
  one('GetDedicatedIp', IP),
  one('PutDedicatedIpInPool', { ...IP, DestinationPoolName: 'spare' }),
  one('PutDedicatedIpWarmupAttributes', { ...IP, WarmupPercentage: 50 }),
  one('PutDedicatedIpInPool', { ...IP, DestinationPoolName: 'ses-default-dedicated-pool' }),
];

const account: Example[] = [
  one('GetAccount'),
  one('PutAccountSendingAttributes', { SendingEnabled: true }),
  one('PutAccountSuppressionAttributes', { SuppressedReasons: ['BOUNCE', 'COMPLAINT'] }),
  one('PutAccountDedicatedIpWarmupAttributes', { AutoWarmupEnabled: false }),
  one('PutAccountDeliveryAttributes', { SharedPoolDeliveryMode: 'REGIONAL' }),
  one('PutAccountDetails', {
    MailType: 'TRANSACTIONAL',
    WebsiteURL: 'https://example.com',
    ContactLanguage: 'EN',
    UseCaseDescription: 'Receipts.',
    AdditionalContactEmailAddresses: ['ann@example.com'],
    ProductionAccessEnabled: true,
  }),
  one('PutAccountVdmAttributes', {
    VdmAttributes: {
      VdmEnabled: 'DISABLED',
      DashboardAttributes: { EngagementMetrics: 'DISABLED' },
      GuardianAttributes: { OptimizedSharedDelivery: 'DISABLED' },
    },
  }),
  one('GetAccount'),
];

const ResourceArn = 'arn:aws:ses:us-east-1:000000000000:identity/example.com';
const tags: Example[] = [
  one('TagResource', { ResourceArn, Tags: TAGS }),
  one('ListTagsForResource', { ResourceArn }),
  one('UntagResource', { ResourceArn, TagKeys: ['team'] }),
];

const removals: Example[] = [
  one('DeleteConfigurationSetEventDestination', DESTINATION),
  one('DeleteEmailTemplate', TEMPLATE),
  one('DeleteDedicatedIpPool', POOL),
  one('DeleteEmailIdentity', IDENTITY),
  one('DeleteConfigurationSet', SET),
];

export const EXAMPLES: readonly Example[] = [
  ...identities,
  ...policies,
  ...sets,
  ...templates,
  ...sending,
  ...verification,
  ...tenants,
  ...insights,
  ...advice,
  ...suppression,
  ...contacts,
  ...jobs,
  ...dedicated,
  ...account,
  ...tags,
  ...removals,
];
