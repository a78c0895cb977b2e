/** What runs without a server: the HTTP API behind a Function URL, and the functions beside it. */
import { join } from 'node:path';
import { type App, CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Construct } from 'constructs';
import {
  type ApiSettings,
  apiEnvironment,
  type EventSettings,
  eventEnvironment,
  functionEnvironment,
  keyEnvironment,
  senderEnvironment,
  trackEnvironment,
  zoneEnvironment,
} from '../../functions/environment.ts';
import { assetFiles } from '../console/assets.ts';
import { acknowledgeBodies, acknowledgeFiles, acknowledgeLanes, acknowledgeTargets } from './acknowledge.ts';
import type { DataStack } from './data.ts';
import { ApiDomain, frontSecret } from './domain.ts';
import { PosternFunction } from './function.ts';
import { GradualDeployments } from './gradual.ts';
import {
  apiPermissions,
  dkimKeysPermissions,
  dkimZonePermissions,
  duePermissions,
  eventsPermissions,
  firstKeyPermissions,
  jobsPermissions,
  outcomesPermissions,
  proofsPermissions,
  trackPermissions,
} from './permissions.ts';
import { type PolicyBundle, policyFor } from './policy.ts';
import { poolSetting } from './pools.ts';
import { eventDaysOf, type Stage, trackingUrlOf } from './stage.ts';

/** How long a batch of outcomes is waited for: the longer, the fewer calls. */
const OUTCOME_WINDOW = Duration.seconds(5);
const OUTCOME_BATCH = 100;
/** Calls at one time: after an outage the backlog must leave the account's concurrency to the others. */
const OUTCOME_CONCURRENCY = 20;

/**
 * Shards of the ledger that are worked on at one time: all of them after an outage (`npm run scale ledger`), none while
 * nothing is due.
 */
const DUE_CONCURRENCY = 64;

/** Parcels of one call. SQS hands out a group of a FIFO queue to one call at a time, ten messages at most. */
const EVENT_BATCH = 10;
const EVENT_CONCURRENCY = 50;

/** No authorisation by IAM: the signature in a request is of a key of Postern, not of AWS. */
const OPEN = { authType: lambda.FunctionUrlAuthType.NONE };

/** What the functions of the stack are made from. */
interface CommonParts {
  stage: Stage;
  data: DataStack;
  settings: EventSettings;
  gradual: GradualDeployments;
}

interface TrackParts extends CommonParts {
  secrets: string;
  front: ReturnType<typeof frontSecret> | undefined;
}

export interface ApiStackProps extends StackProps {
  stage: Stage;
  data: DataStack;
  policy?: PolicyBundle;
}

export class ApiStack extends Stack {
  readonly api: PosternFunction;
  readonly due: PosternFunction;
  readonly proofs: PosternFunction;
  readonly outcomes: PosternFunction;
  readonly events: PosternFunction;
  readonly track: PosternFunction;
  readonly jobs: PosternFunction;
  readonly firstKey: PosternFunction;
  /** Those that make the keys of Easy DKIM and write their zone, in a stage that has one. */
  readonly dkim?: { keys: PosternFunction; zone: PosternFunction };

  constructor(scope: Construct, id: string, props: ApiStackProps) {
    super(scope, id, props);
    const { stage, data, policy } = props;
    const pools = poolSetting(stage, join((scope as App).outdir, 'pools'));
    const settings: EventSettings = {
      resources: data.resources(stage),
      accountId: this.account,
      hostname: stage.hostname,
      eventDays: eventDaysOf(stage),
      returnPathDomain: stage.returnPathDomain,
    };
    const apiSettings: ApiSettings = {
      ...settings,
      pools: pools.pools,
      cosignDomain: stage.cosignDomain,
      dkimZone: stage.dkimZone,
      secrets: data.secrets.bucketName,
      trackingUrl: trackingUrlOf(stage),
    };
    const shared = { stage, logKey: data.key };
    const { domain } = stage.api;
    const front = (domain ?? stage.tracking) && frontSecret(this);

    this.api = new PosternFunction(this, 'Api', {
      entry: 'api.ts',
      description: 'Postern: SES v2 and Postern API',
      beside: [...policyFor('accept', policy), ...pools.files, ...assetFiles()],
      environment: apiEnvironment({ ...apiSettings, frontSecret: domain && front }),
      permissions: apiPermissions(data),
      ...shared,
      memoryMegabytes: stage.api.memoryMegabytes,
      timeout: Duration.seconds(30),
      reservedConcurrency: stage.api.concurrency,
    });
    acknowledgeBodies(this.api.role, data);
    acknowledgeFiles(this.api.role, data);
    acknowledgeLanes(this.api.role, data);
    const gradual = new GradualDeployments(this, stage);
    const url = gradual.alias('Api', this.api).addFunctionUrl(OPEN);
    // The URL of the function itself, at which callers of earlier versions are; it serves what is newest.
    this.api.function.addFunctionUrl(OPEN);
    if (domain && front) new ApiDomain(this, 'Domain', { domain, url, secret: front });

    this.due = new PosternFunction(this, 'Due', {
      entry: 'due.ts',
      description: 'Postern: moves deliveries into their lanes when they are due',
      environment: functionEnvironment(settings),
      permissions: duePermissions(data),
      ...shared,
      memoryMegabytes: 512,
      timeout: Duration.minutes(1),
    });
    acknowledgeLanes(this.due.role, data);
    this.due.function.addEventSource(
      new SqsEventSource(data.due, { batchSize: 1, maxConcurrency: DUE_CONCURRENCY }),
    );
    const common = { stage, data, settings, gradual };
    this.events = this.#events(common);
    this.jobs = this.#jobs(common);
    new events.Rule(this, 'EveryMinute', {
      schedule: events.Schedule.rate(Duration.minutes(1)),
      targets: [this.due, this.events, this.jobs].map((one) => new LambdaFunction(one.function)),
    });

    this.proofs = this.#proofs(common);
    this.dkim = this.#dkim(common);
    this.outcomes = this.#outcomes(common);
    this.track = this.#track({ ...common, secrets: apiSettings.secrets, front });

    this.firstKey = new PosternFunction(this, 'FirstKey', {
      entry: 'first-key.ts',
      beside: pools.files,
      description: "Postern: makes the first administrator's key",
      environment: apiEnvironment(apiSettings),
      permissions: firstKeyPermissions(data),
      ...shared,
      memoryMegabytes: 256,
      timeout: Duration.seconds(30),
    });

    new CfnOutput(this, 'Endpoint', {
      value: domain ? `https://${domain.name}/` : url.url,
      description: 'Endpoint for SDKs; the Postern API is under /v1',
    });
    new CfnOutput(this, 'FirstKeyFunction', {
      value: this.firstKey.function.functionName,
      description: "Invoke it once for the first administrator's key",
    });
  }

  /** Looks the proofs of domains up, each hour. */
  #proofs({ stage, data, settings }: CommonParts): PosternFunction {
    const proofs = new PosternFunction(this, 'Proofs', {
      entry: 'proofs.ts',
      description: 'Postern: looks up the proofs of domains',
      environment: functionEnvironment(settings),
      permissions: proofsPermissions(data),
      stage,
      logKey: data.key,
      memoryMegabytes: 256,
      timeout: Duration.minutes(5),
    });
    new events.Rule(this, 'EveryHour', {
      schedule: events.Schedule.rate(Duration.hours(1)),
      targets: [new LambdaFunction(proofs.function)],
    });
    return proofs;
  }

  /** Makes the keys of Easy DKIM, each day, and writes them into their zone, each minute. */
  #dkim({ stage, data, settings: { resources } }: CommonParts): ApiStack['dkim'] {
    const { dkimZone } = stage;
    if (dkimZone === undefined || data.dkimZone === undefined) return undefined;
    const shared = { stage, logKey: data.key };
    const keys = new PosternFunction(this, 'DkimKeys', {
      entry: 'dkim-keys.ts',
      description: 'Postern: makes the next DKIM keys of identities',
      environment: keyEnvironment({ resources, dkimZone, secrets: data.secrets.bucketName }),
      permissions: dkimKeysPermissions(data),
      ...shared,
      // The making of a key takes a whole processor for a quarter of a second.
      memoryMegabytes: 1024,
      timeout: Duration.minutes(10),
    });
    const zone = new PosternFunction(this, 'DkimZone', {
      entry: 'dkim-zone.ts',
      description: 'Postern: writes DKIM keys into their zone of Route 53',
      environment: zoneEnvironment({ resources, dkimZone, zoneId: data.dkimZone.hostedZoneId }),
      permissions: dkimZonePermissions(data, data.dkimZone),
      ...shared,
      memoryMegabytes: 256,
      // Below the minute of its schedule: of two calls at one time one could write back what the other has replaced.
      timeout: Duration.seconds(55),
    });
    for (const [every, one] of [
      [Duration.days(1), keys],
      [Duration.minutes(1), zone],
    ] as const)
      new events.Rule(this, `${one.node.id}Schedule`, {
        schedule: events.Schedule.rate(every),
        targets: [new LambdaFunction(one.function)],
      });
    return { keys, zone };
  }

  /** Sends events to webhooks and brokers. */
  #events({ stage, data, settings }: CommonParts): PosternFunction {
    const sender = new PosternFunction(this, 'Events', {
      entry: 'events.ts',
      description: 'Postern: sends events to webhooks and brokers, and again what was not taken',
      environment: senderEnvironment({ ...settings, secrets: data.secrets.bucketName }),
      permissions: eventsPermissions(data, stage),
      stage,
      logKey: data.key,
      memoryMegabytes: 512,
      timeout: Duration.minutes(1),
    });
    acknowledgeTargets(sender.role, stage);
    sender.function.addEventSource(
      new SqsEventSource(data.events, {
        batchSize: EVENT_BATCH,
        reportBatchItemFailures: true,
        maxConcurrency: EVENT_CONCURRENCY,
      }),
    );
    return sender;
  }

  /** Works on import and export jobs. */
  #jobs({ stage, data, settings }: CommonParts): PosternFunction {
    const jobs = new PosternFunction(this, 'Jobs', {
      entry: 'jobs.ts',
      description: 'Postern: works on import and export jobs',
      environment: functionEnvironment(settings),
      permissions: jobsPermissions(data, stage),
      stage,
      logKey: data.key,
      memoryMegabytes: 1024,
      timeout: Duration.minutes(15),
    });
    acknowledgeFiles(jobs.role, data, stage);
    return jobs;
  }

  /** Counts outcomes as they come in batches. */
  #outcomes({ stage, data, settings, gradual }: CommonParts): PosternFunction {
    const outcomes = new PosternFunction(this, 'Outcomes', {
      entry: 'outcomes.ts',
      description: 'Postern: counts what became of deliveries',
      environment: eventEnvironment(settings),
      permissions: outcomesPermissions(data, stage),
      stage,
      logKey: data.key,
      memoryMegabytes: 512,
      timeout: Duration.seconds(25),
    });
    acknowledgeTargets(outcomes.role, stage);
    gradual.alias('Outcomes', outcomes).addEventSource(
      new SqsEventSource(data.outcomes, {
        batchSize: OUTCOME_BATCH,
        maxBatchingWindow: OUTCOME_WINDOW,
        reportBatchItemFailures: true,
        maxConcurrency: OUTCOME_CONCURRENCY,
      }),
    );
    return outcomes;
  }

  /** Answers the links in mail. */
  #track({ stage, data, settings, gradual, secrets, front }: TrackParts): PosternFunction {
    const track = new PosternFunction(this, 'Track', {
      entry: 'track.ts',
      description: 'Postern: tells of opens and clicks',
      environment: trackEnvironment({
        queueUrlPrefix: settings.resources.queueUrlPrefix,
        configTable: settings.resources.tables.config,
        secrets,
        frontSecret: front,
      }),
      permissions: trackPermissions(data),
      stage,
      logKey: data.key,
      memoryMegabytes: 256,
      timeout: Duration.seconds(10),
      reservedConcurrency: stage.api.concurrency,
    });
    // No authorisation by IAM: readers of mail have no key, and the links are signed.
    const trackUrl = gradual.alias('Track', track).addFunctionUrl(OPEN);
    if (stage.tracking && front) {
      new ApiDomain(this, 'TrackDomain', { domain: stage.tracking, url: trackUrl, secret: front });
    }
    return track;
  }
}
