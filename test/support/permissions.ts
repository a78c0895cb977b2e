/** What every role may do: the table that the stacks are held to, and the code that runs under them. */

/** Resources by name, each with the actions that may be taken on it. */
export type Granted = Record<string, string>;

export const LANES = 'arn:aws:sqs:eu-central-1:AWS::AccountId:postern-test-lane-*';
export const EC2 = 'arn:aws:ec2:eu-central-1:AWS::AccountId:';
/** Which documents there are, without what is in them. */
const KEYS_OF_CONFIG = {
  'ConfigTable if ForAllValues:StringEquals dynamodb:Attributes pk,sk; StringEquals dynamodb:Select SPECIFIC_ATTRIBUTES':
    'dynamodb:Scan',
};
const WRITE_LOG = 'logs:CreateLogStream logs:PutLogEvents';
const SHIP_LOG = 'logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents';

/** Reads them, and makes them without overwriting any. */
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

/** Of every egress node, wherever it runs. */
const EGRESS: Granted = {
  [LANES]:
    'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage sqs:SendMessage',
  Queueoutcomes: 'sqs:SendMessage',
  RecordsTable:
    'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem',
  LedgerTable: 'dynamodb:BatchWriteItem',
  LeasesTable: 'dynamodb:GetItem dynamodb:UpdateItem',
  'ConfigTable if ForAllValues:StringNotEquals dynamodb:LeadingKeys key,identity':
    'dynamodb:GetItem dynamodb:Query',
  'ConfigTable if ForAllValues:StringEquals dynamodb:LeadingKeys directive,warmup-report,lane-group,!':
    'dynamodb:DeleteItem dynamodb:PutItem',
  ...KEYS_OF_CONFIG,
  'Bodies/*': 's3:GetObject s3:PutObject',
  Bodies: 's3:ListBucket',
  ...secrets('return-path.key'),
  DataKey: 'kms:Decrypt kms:GenerateDataKey',
  Log: SHIP_LOG,
};

function nodeOnEc2(node: string, addresses: readonly string[]): Granted {
  return {
    ...EGRESS,
    'the bundle': 's3:GetObject',
    ...Object.fromEntries(addresses.map((one) => [`${EC2}elastic-ip/${one}`, 'ec2:AssociateAddress'])),
    [`${EC2}instance/* if StringEquals aws:ResourceTag/postern:node ${node}`]: 'ec2:AssociateAddress',
    [`${EC2}network-interface/* if StringEquals aws:ResourceTag/postern:node ${node}`]:
      'ec2:AssociateAddress',
    // Tells CloudFormation that it runs.
    'AWS::StackId': 'cloudformation:SignalResource',
  };
}

/** Every action that every role may take. What is not here is forbidden. */
export const PERMISSIONS: Record<string, Granted> = {
  'api ApiRole': {
    ApiLog: WRITE_LOG,
    RecordsTable:
      'dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:Query dynamodb:UpdateItem',
    LedgerTable: 'dynamodb:BatchWriteItem dynamodb:Query',
    SuppressionsTable: 'dynamodb:BatchGetItem dynamodb:UpdateItem',
    'SuppressionsTable/index/listed': 'dynamodb:Query',
    LeasesTable: 'dynamodb:GetItem',
    ConfigTable: 'dynamodb:DeleteItem dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...KEYS_OF_CONFIG,
    [LANES]: 'sqs:SendMessage',
    Queueoutcomes: 'sqs:SendMessage',
    'Bodies/*': 's3:PutObject',
    ...secrets('master.key', 'return-path.key', 'tracking.key'),
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api DueRole': {
    DueLog: WRITE_LOG,
    LedgerTable: 'dynamodb:BatchWriteItem dynamodb:DeleteItem dynamodb:Query dynamodb:UpdateItem',
    [LANES]: 'sqs:SendMessage',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api OutcomesRole': {
    OutcomesLog: WRITE_LOG,
    RecordsTable: 'dynamodb:BatchWriteItem dynamodb:GetItem',
    SuppressionsTable: 'dynamodb:UpdateItem',
    // As Lambda asks for, to read a queue on the function's behalf.
    Queueoutcomes:
      'sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ReceiveMessage',
    DataKey: 'kms:Decrypt',
  },
  'api TrackRole': {
    TrackLog: WRITE_LOG,
    Queueoutcomes: 'sqs:SendMessage',
    ...secrets('tracking.key'),
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
  },
  'api FirstKeyRole': {
    FirstKeyLog: WRITE_LOG,
    ConfigTable: 'dynamodb:GetItem dynamodb:PutItem dynamodb:Query',
    ...KEYS_OF_CONFIG,
    ...secrets('master.key'),
  },
  'submission Role': {
    Log: SHIP_LOG,
    RecordsTable: 'dynamodb:BatchWriteItem dynamodb:GetItem dynamodb:UpdateItem',
    LedgerTable: 'dynamodb:BatchWriteItem',
    SuppressionsTable: 'dynamodb:BatchGetItem',
    LeasesTable: 'dynamodb:GetItem',
    ConfigTable: 'dynamodb:GetItem dynamodb:Query',
    ...KEYS_OF_CONFIG,
    [LANES]: 'sqs:SendMessage',
    Queueoutcomes: 'sqs:SendMessage',
    'Bodies/*': 's3:PutObject',
    ...secrets('master.key', 'return-path.key', 'tracking.key'),
    'Secrets/submission.pem': 's3:GetObject',
    DataKey: 'kms:Decrypt kms:GenerateDataKey',
    'the bundle': 's3:GetObject',
    // Tells CloudFormation that it runs.
    'AWS::StackId': 'cloudformation:SignalResource',
  },
  'egress FlowLogRole': { FlowLog: SHIP_LOG },
  'egress Rolea': nodeOnEc2('a', ['Addressa1', 'Addressa2']),
  'egress Roleb': nodeOnEc2('b', ['Addressb1']),
  'egress PtrRole': {
    PtrLog: WRITE_LOG,
    [`${EC2}elastic-ip/Addressa1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
    [`${EC2}elastic-ip/Addressb1`]: 'ec2:ModifyAddressAttribute ec2:ResetAddressAttribute',
  },
  'egress OutsideRole': EGRESS,
};
