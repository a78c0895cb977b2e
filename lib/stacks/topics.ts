/** Where alarms go: a topic for each severity, to which CloudWatch may publish. */
import { createHash } from 'node:crypto';
import { CfnOutput, type Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { type AlarmEntry, alarmName, type Severity } from './alarm.ts';
import type { Stage } from './stage.ts';

const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;

/** Name of an alarm in the account. */
export function accountAlarmName(
  stage: Pick<Stage, 'name'>,
  entry: Pick<AlarmEntry, 'entry' | 'of'>,
): string {
  return `postern-${stage.name}: ${alarmName(entry)}`;
}

export class AlarmTopics {
  readonly #stage: Stage;
  readonly #key: kms.Key;
  readonly #topics: Readonly<Record<Severity, sns.Topic>>;

  constructor(stack: Stack, stage: Stage) {
    this.#stage = stage;
    const publisher = {
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
    };
    const masterKey = (this.#key = new kms.Key(stack, 'AlarmKey', {
      description: 'Postern: alarms on their way',
      enableKeyRotation: true,
    }));
    masterKey.addToResourcePolicy(
      new iam.PolicyStatement({
        ...publisher,
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
      }),
    );
    const open = (id: string, severity: Severity): sns.Topic => {
      const topic = new sns.Topic(stack, id, { masterKey, enforceSSL: true });
      // A policy replaces the one that SNS gives a new topic, by which the account's alarms may publish.
      topic.addToResourcePolicy(
        new iam.PolicyStatement({ ...publisher, actions: ['sns:Publish'], resources: [topic.topicArn] }),
      );
      const { email } = stage.alarms;
      if (email) topic.addSubscription(new EmailSubscription(email));
      new CfnOutput(stack, `${severity === 'critical' ? 'Critical' : 'Warning'}Alarms`, {
        value: topic.topicArn,
        description: `Subscribe here to get alarms of the severity "${severity}"`,
      });
      return topic;
    };
    this.#topics = { critical: open('AlarmTopic', 'critical'), warning: open('WarningTopic', 'warning') };
  }

  all(): sns.Topic[] {
    return Object.values(this.#topics);
  }

  /** A text that changes with what decides whether alarms reach their topics. */
  fingerprint(): string {
    const { stack } = this.#topics.critical;
    const policies = this.all().flatMap((topic) =>
      topic.node.findAll().filter((one) => one instanceof sns.CfnTopicPolicy),
    );
    const text = stack.resolve([this.#key.node.defaultChild, ...policies].map((one) => render(one)));
    return createHash('sha256').update(JSON.stringify(text)).digest('hex').slice(0, 16);
  }

  /** Makes the alarm, in the stack of what it watches. */
  alarm(stack: Stack, entry: AlarmEntry): cloudwatch.Alarm {
    const { periods = 1, below = false, missing = cloudwatch.TreatMissingData.NOT_BREACHING } = entry;
    const name = alarmName(entry);
    const id = name.replace(/\W+/g, '');
    // Pools may differ by a sign alone, as a-b and ab.
    const alarm = new cloudwatch.Alarm(stack, stack.node.tryFindChild(id) ? name : id, {
      alarmName: accountAlarmName(this.#stage, entry),
      alarmDescription: `${entry.meaning} What to do: ${runbookLink(entry)}`,
      metric: entry.metric,
      threshold: entry.threshold,
      evaluationPeriods: periods,
      comparisonOperator: below ? LESS_THAN_THRESHOLD : GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: missing,
    });
    const action = new SnsAction(this.#topics[entry.severity]);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    return alarm;
  }
}

/** The policy of a topic or of a key. */
function render(of: unknown): unknown {
  return of instanceof kms.CfnKey ? of.keyPolicy : (of as sns.CfnTopicPolicy).policyDocument;
}

/** Where an alarm's entry is, with the anchor that a heading gets. */
function runbookLink({ entry }: Pick<AlarmEntry, 'entry'>): string {
  return `lib/stacks/RUNBOOK.md#${entry.toLowerCase().replaceAll(' ', '-')}`;
}
