/** The permissions of every role: stacks must equal this table, and code is run under it. */

/** Resources by name, each with the actions that may be taken on it. */
export type Granted = Record<string, string>;

export const LANES = 'arn:aws:sqs:eu-central-1:AWS::AccountId:postern-test-lane-*';
export const ALARM = 'arn:aws:cloudwatch:eu-central-1:AWS::AccountId:alarm:postern-test:';
export const EC2 = 'arn:aws:ec2:eu-central-1:AWS::AccountId:';
const DKIM_ZONE = 'arn:aws:route53:::hostedzone/DkimZone';
/** Appends to the log of changes. */
const APPEND_CHANGE = {
  'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys log#*': 'dynamodb:PutItem',
};
const STATE =
  'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem';
const WRITE_LOG = 'logs:CreateLogStream logs:PutLogEvents';
const SHIP_LOG = 'logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents';

/** Ships its own stream of the log of nodes. */
function ownStream(node: string): Granted {
  return {
    Log: 'logs:DescribeLogStreams',
    [`arn:aws:logs:eu-central-1:AWS::AccountId:log-group:Log:log-stream:${node}`]: WRITE_LOG,
  };
}

/** As Lambda reads a queue for a function. */
const READ_QUEUE =
  'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ReceiveMessage';
const READ_LANE = 'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage';

/** Reads the lanes of these pools. */
function lanesOf(pools: readonly string[]): Granted {
  const classes = pools.flatMap((pool) => [`${pool}-transactional-*`, `${pool}-bulk-*`]);
  return Object.fromEntries(classes.map((one) => [LANES.slice(0, -1) + one, READ_LANE]));
}

/** Reads documents, and creates them without overwriting any. */
function secrets(...names: readonly string[]): Granted {
  return {
    ...Object.fromEntries(
      names.flatMap((name) => [
        [`Secrets/${name}`, 's3:GetObject'],
        [`Secrets/${name} if Null s3:if-none-match false`, 's3:PutObject'],
      ]),
    ),
    Secrets: 's3:ListBucket',
    SecretsKey: 'kms:Decrypt kms:GenerateDataKey',
  };
}

/** Contact lists: who may be sent to, and who leaves. */
const CONTACTS: Granted = {
  'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys contact-list#*,contact#*':
    'dynamodb:BatchGetItem dynamodb:PutItem',
};

/** Of every egress node, in AWS and outside. @param ips its addresses. */
const egress = (node: string, pools: readonly string[], ips: readonly string[]): Granted => ({
  ...lanesOf(pools),
  [LANES]: 'sqs:SendMessage',
  Queueoutcomes: 'sqs:SendMessage',
  RecordsTable: STATE,
  DeliveriesTable: STATE,
  LedgerTable: 'dynamodb:BatchWriteItem',
  'LedgerTable if ForAllValues:StringLike dynamodb:LeadingKeys recall#*': 'dynamodb:UpdateItem',
  'LedgerTable/index/parked': 'dynamodb:Query',
  'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys report#*':
    'dynamodb:BatchWriteItem dynamodb:Query',
  ...CONTACTS,
  'LeasesTable if ForAllValues:StringLike dynamodb:LeadingKeys divide/*':
    'dynamodb:DeleteItem dynamodb:Query',
  'LeasesTable if ForAllValues:StringNotLike dynamodb:LeadingKeys egress-ip:*':
    'dynamodb:GetItem dynamodb:UpdateItem',
  [`LeasesTable if ForAllValues:StringEquals dynamodb:LeadingKeys ${ips.map((ip) => `egress-ip:${ip}`).join(',')}`]:
    'dynamodb:GetItem dynamodb:UpdateItem',
  'ConfigTable if ForAllValues:StringNotEquals dynamodb:LeadingKeys key,identity':
    'dynamodb:GetItem dynamodb:Query',
  'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys rule-directive,warmup-report,lane-group':
    'dynamodb:DeleteItem dynamodb:PutItem',
  ...APPEND_CHANGE,
  'Bodies/*': 's3:GetObject s3:PutObject',
  Bodies: 's3:ListBucket',
  ...secrets('return-path.key'),
  DataKey: 'kms:Decrypt kms:GenerateDataKey',
  ...ownStream(node),
});

function nodeOnEc2(node: string, pools: readonly string[], addresses: readonly string[]): Granted {
  return {
    ...egress(node, pools, addresses),
    [`${ALARM}*`]: 'cloudwatch:DescribeAlarms',
    'the bundle': 's3:GetObject',
    ...Object.fromEntries(addresses.map((one) => [`${EC2}elastic-ip/${one}`, 'ec2:AssociateAddress'])),
    [`${EC2}instance/* if StringEquals aws:ResourceTag/postern:node ${node}`]: 'ec2:AssociateAddress',
    [`${EC2}network-interface/* if StringEquals aws:ResourceTag/postern:node ${node}`]:
      'ec2:AssociateAddress',
    // Signals CloudFormation, and reads whether the deployment goes forward.
    'AWS::StackId': 'cloudformation:DescribeStacks cloudformation:SignalResource',
  };
}

const EVENT_ROWS =
  'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys event-destination#*,event-backlog#*,event-attempt#*,event-test#*,event-due#*,event-index#*';
const JOB_ROWS =
  'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys job-due#*,import-job#*,import-failure#*,export-job#*,contact-list#*,contact#*';
const DESTINATIONS =
  'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys event-destination,event-scope,log#*';
const SCOPES = 'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys event-scope';
/** What the stage of the tests lists. */
const EVENT_TARGETS: Granted = {
  'arn:aws:sns:eu-central-1:123456789012:mail-*': 'sns:Publish',
  'arn:aws:events:eu-central-1:123456789012:event-bus/mail': 'events:PutEvents',
  'arn:aws:firehose:eu-central-1:123456789012:deliverystream/mail': 'firehose:PutRecordBatch',
  'arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012':
    'kms:Decrypt kms:GenerateDataKey',
  '* if StringEquals cloudwatch:namespace Postern/SES': 'cloudwatch:PutMetricData',
};

/** Every action that every role may take. Anything else is forbidden. */
export const PERMISSIONS: Record<string, Granted> = {
  'api ApiRole': {
    ApiLog: WRITE_LOG,
    RecordsTable: STATE,
    DeliveriesTable: STATE,
    LedgerTable: 'dynamodb:BatchWriteItem dynamodb:Query',
    SuppressionsTable: 'dynamodb:BatchGetItem dynamodb:UpdateItem',
    'SuppressionsTable/index/listed': 'dynamodb:Query',
    SearchTable: 'dynamodb:BatchWriteItem dynamodb:Query',
    RowsTable: 'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:PutItem dynamodb:Query',
    LeasesTable: 'dynamodb:GetItem',
    ConfigTable: 'dynamodb:BatchGetItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    [LANES]: 'sqs:GetQueueAttributes sqs:SendMessage',
    Queueoutcomes: 'sqs:SendMessage',
    Queueeventsfifo: 'sqs:SendMessage',
    'Bodies/*': 's3:PutObject',
    'Bodies/results/*': 's3:DeleteObject s3:GetObject',
    ...secrets('master.key', 'return-path.key', 'tracking.key'),
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api DueRole': {
    DueLog: WRITE_LOG,
    LedgerTable: 'dynamodb:BatchWriteItem dynamodb:DeleteItem dynamodb:Query dynamodb:UpdateItem',
    [LANES]: 'sqs:SendMessage',
    Queuedue: `${READ_QUEUE} sqs:SendMessage`,
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api JobsRole': {
    JobsLog: WRITE_LOG,
    RecordsTable: 'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query',
    DeliveriesTable: 'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query',
    SearchTable: 'dynamodb:Query',
    SuppressionsTable: 'dynamodb:BatchGetItem dynamodb:UpdateItem',
    [JOB_ROWS]: 'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:PutItem dynamodb:Query',
    'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys statistics#*': 'dynamodb:Query',
    'Bodies/results/*': 's3:AbortMultipartUpload s3:DeleteObject s3:PutObject',
    'arn:aws:s3:::operator-files/*': 's3:AbortMultipartUpload s3:GetObject s3:PutObject',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api ProofsRole': {
    ProofsLog: WRITE_LOG,
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys identity':
      'dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...APPEND_CHANGE,
  },
  'api DkimKeysRole': {
    DkimKeysLog: WRITE_LOG,
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys identity,dkim-record,dkim-change':
      'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys dkim-record': 'dynamodb:DeleteItem',
    ...APPEND_CHANGE,
    ...secrets('master.key'),
  },
  'api DkimZoneRole': {
    DkimZoneLog: WRITE_LOG,
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys dkim-change':
      'dynamodb:DeleteItem dynamodb:GetItem dynamodb:Query',
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys dkim-record': 'dynamodb:BatchGetItem',
    ...APPEND_CHANGE,
    [DKIM_ZONE]: 'route53:ListResourceRecordSets',
    [`${DKIM_ZONE} if ForAllValues:StringEquals route53:ChangeResourceRecordSetsRecordTypes TXT; ForAllValues:StringEquals route53:ChangeResourceRecordSetsActions UPSERT,DELETE; ForAllValues:StringLike route53:ChangeResourceRecordSetsNormalizedRecordNames *.dkim.mail.example.com; Null route53:ChangeResourceRecordSetsRecordTypes false; Null route53:ChangeResourceRecordSetsNormalizedRecordNames false`]:
      'route53:ChangeResourceRecordSets',
  },
  'api OutcomesRole': {
    OutcomesLog: WRITE_LOG,
    RecordsTable: 'dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:Query',
    DeliveriesTable: 'dynamodb:BatchWriteItem dynamodb:Query',
    SuppressionsTable: 'dynamodb:UpdateItem',
    'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys statistics#*,counted#*':
      'dynamodb:BatchGetItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query dynamodb:UpdateItem',
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys config-protection,config-routing,directive,rule-directive,tenant,log#*':
      'dynamodb:GetItem dynamodb:Query',
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys directive':
      'dynamodb:DeleteItem dynamodb:PutItem',
    ...CONTACTS,
    // Lambda needs these to read a queue on the function's behalf.
    Queueoutcomes:
      'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ReceiveMessage',
    [EVENT_ROWS]: 'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:PutItem',
    [DESTINATIONS]: 'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query',
    [SCOPES]: 'dynamodb:PutItem',
    ...APPEND_CHANGE,
    Queueeventsfifo: 'sqs:SendMessage',
    ...EVENT_TARGETS,
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api EventsRole': {
    EventsLog: WRITE_LOG,
    RecordsTable: 'dynamodb:GetItem',
    [EVENT_ROWS]: 'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:PutItem dynamodb:Query',
    [DESTINATIONS]: 'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query',
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys event-destination,event-scope':
      'dynamodb:PutItem',
    [SCOPES]: 'dynamodb:PutItem',
    ...APPEND_CHANGE,
    Queueeventsfifo: `${READ_QUEUE} sqs:SendMessage`,
    ...secrets('master.key'),
    ...EVENT_TARGETS,
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api TrackRole': {
    TrackLog: WRITE_LOG,
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys config-links': 'dynamodb:GetItem',
    Queueoutcomes: 'sqs:SendMessage',
    ...secrets('tracking.key'),
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api FirstKeyRole': {
    FirstKeyLog: WRITE_LOG,
    'ConfigTable if ForAllValues:StringLike dynamodb:LeadingKeys key,key-index,tenant':
      'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...APPEND_CHANGE,
    ...secrets('master.key'),
  },
  'api DeploymentRole': {
    ...Object.fromEntries(
      ['ApiFunction', 'OutcomesFunction', 'TrackFunction'].map((name) => [
        name,
        'lambda:GetAlias lambda:GetProvisionedConcurrencyConfig lambda:UpdateAlias',
      ]),
    ),
    ...Object.fromEntries(
      ['Api', 'Outcomes', 'Track'].map((name) => [`${name}NewVersion`, 'cloudwatch:DescribeAlarms']),
    ),
  },
  'submission Role': {
    'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys key-use#*': 'dynamodb:BatchWriteItem',
    'RowsTable if ForAllValues:StringLike dynamodb:LeadingKeys sending-quota#*,sending-rate#*':
      'dynamodb:BatchWriteItem dynamodb:Query',
    Log: SHIP_LOG,
    RecordsTable: 'dynamodb:BatchWriteItem dynamodb:UpdateItem',
    DeliveriesTable: 'dynamodb:BatchWriteItem dynamodb:UpdateItem',
    LedgerTable: 'dynamodb:BatchWriteItem',
    SearchTable: 'dynamodb:BatchWriteItem',
    SuppressionsTable: 'dynamodb:BatchGetItem',
    ...CONTACTS,
    LeasesTable: 'dynamodb:GetItem',
    ConfigTable: 'dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query',
    [LANES]: 'sqs:SendMessage',
    Queueoutcomes: 'sqs:SendMessage',
    'Bodies/*': 's3:PutObject',
    ...secrets('master.key', 'return-path.key', 'tracking.key'),
    'Secrets/submission.pem': 's3:GetObject',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
    'the bundle': 's3:GetObject',
    // Signals CloudFormation that it runs.
    'AWS::StackId': 'cloudformation:SignalResource',
  },
  'egress FlowLogRole': { FlowLog: SHIP_LOG },
  'egress Rolea': nodeOnEc2('a', ['default', 'vip'], ['Addressa1', 'Addressa2']),
  'egress Roleb': nodeOnEc2('b', ['default'], ['Addressb1']),
  'egress PtrRole': {
    PtrLog: WRITE_LOG,
    [`${EC2}elastic-ip/Addressa1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
    [`${EC2}elastic-ip/Addressb1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
  },
  'monitoring AlarmCheckRole': {
    AlarmCheckLog: WRITE_LOG,
    ...Object.fromEntries(
      ['critical', 'warning'].map((severity) => [
        `${ALARM} Alarm check (${severity})`,
        'cloudwatch:DescribeAlarmHistory cloudwatch:SetAlarmState',
      ]),
    ),
  },
  'egress OutsideRolec': egress('c', ['hoster'], ['203.0.113.5']),
};
