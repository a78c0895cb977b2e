/** A Lambda function with what all of them have: a role of its own, an encrypted log that expires, the runtime. */
import type { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { STAGE_VARIABLE } from '../observe/emf.ts';
import { functionCode } from './bundling.ts';
import type { Stage } from './stage.ts';

export interface PosternFunctionProps {
  /** File below `functions/`. */
  entry: string;
  description: string;
  /** Paths of files that go beside its bundle. */
  beside?: readonly string[];
  environment: Record<string, string>;
  /** Everything that its role may do, besides writing its log. */
  permissions: iam.PolicyStatement[];
  stage: Stage;
  /** Encrypts its log. */
  logKey: kms.IKey;
  memoryMegabytes: number;
  timeout: Duration;
  reservedConcurrency?: number;
}

export class PosternFunction extends Construct {
  readonly function: lambda.Function;
  readonly role: iam.Role;
  readonly logGroup: logs.LogGroup;

  constructor(scope: Construct, id: string, props: PosternFunctionProps) {
    super(scope, id);
    this.logGroup = new logs.LogGroup(this, 'Log', {
      retention: props.stage.logRetention,
      encryptionKey: props.logKey,
    });
    this.role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: props.description,
    });
    this.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [this.logGroup.logGroupArn],
      }),
    );
    for (const statement of props.permissions) this.role.addToPolicy(statement);
    this.function = new lambda.Function(this, 'Function', {
      code: functionCode(props.entry, props.beside ?? []),
      handler: 'index.handler',
      description: props.description,
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      memorySize: props.memoryMegabytes,
      timeout: props.timeout,
      reservedConcurrentExecutions: props.reservedConcurrency,
      role: this.role,
      logGroup: this.logGroup,
      // START, END and REPORT of each call are system lines of INFO, and most of what is billed as log; of a call that
      // fails the report is WARN (Lambda developer guide, "Log-level filtering"). Lines of JSON stay as they are.
      loggingFormat: lambda.LoggingFormat.JSON,
      systemLogLevelV2: lambda.SystemLogLevel.WARN,
      applicationLogLevelV2: lambda.ApplicationLogLevel.INFO,
      // Off: a retry would run beside the next scheduled one, which does the same work anyway.
      retryAttempts: 0,
      environment: {
        NODE_OPTIONS: '--enable-source-maps',
        [STAGE_VARIABLE]: props.stage.name,
        ...props.environment,
      },
    });
  }
}
