/**
 * Gradual deployment of functions: callers reach a function by its alias, which CodeDeploy moves to a new version, a
 * tenth of the calls first. An alarm of the new version moves it back.
 */
import { Duration, type Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { PosternFunction } from './function.ts';
import type { Stage } from './stage.ts';

/** Name of the alias of each function. */
export const LIVE = 'live';

export class GradualDeployments {
  readonly #stack: Stack;
  readonly #stage: Stage;
  readonly #application: codedeploy.LambdaApplication;
  readonly #role: iam.Role;

  constructor(stack: Stack, stage: Stage) {
    this.#stack = stack;
    this.#stage = stage;
    this.#application = new codedeploy.LambdaApplication(stack, 'Deployments');
    this.#role = new iam.Role(stack, 'DeploymentRole', {
      assumedBy: new iam.ServicePrincipal('codedeploy.amazonaws.com'),
      description: 'Postern: moves aliases of functions to new versions',
    });
  }

  /** The alias of a function. @param id names its resources. */
  alias(id: string, { function: target }: PosternFunction): lambda.Alias {
    const alias = target.addAlias(LIVE);
    const alarmName = `postern-${this.#stage.name}: New version of ${id}`;
    const alarm = new cloudwatch.Alarm(this.#stack, `${id}NewVersion`, {
      alarmName,
      alarmDescription: `A version of the function ${id} that is being deployed fails: CodeDeploy goes back to the one before.`,
      metric: new cloudwatch.MathExpression({
        expression: 'SUM(METRICS())',
        usingMetrics: {
          errors: alias.metricErrors({ period: Duration.minutes(1) }),
          refused: alias.metric('Url5xxCount', { statistic: 'Sum', period: Duration.minutes(1) }),
        },
        label: `Failures of ${id}`,
        period: Duration.minutes(1),
      }),
      threshold: 5,
      evaluationPeriods: 1,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    const allow = (actions: string[], resources: string[]): void => {
      this.#role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    };
    allow(
      ['lambda:GetAlias', 'lambda:UpdateAlias', 'lambda:GetProvisionedConcurrencyConfig'],
      [target.functionArn],
    );
    allow(['cloudwatch:DescribeAlarms'], [alarm.alarmArn]);
    const group = new codedeploy.LambdaDeploymentGroup(this.#stack, `${id}Deployment`, {
      application: this.#application,
      alias,
      alarms: [alarm],
      autoRollback: { deploymentInAlarm: true, failedDeployment: true },
      // A stage that may be deleted is one to try things in: no minutes are waited there.
      deploymentConfig: this.#stage.protect
        ? codedeploy.LambdaDeploymentConfig.CANARY_10PERCENT_5MINUTES
        : codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
      // CDK would give it the rights over all functions of the account.
      role: this.#role.withoutPolicyUpdates(),
    });
    group.node.addDependency(this.#role);
    return alias;
  }
}
