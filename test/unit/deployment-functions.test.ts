/** The functions that CloudFormation calls: what they do, and what a deployment reports when they fail. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { keepAddresses } from '../../functions/addresses.ts';
import { checkAlarms } from '../../functions/alarm-check.ts';
import { answerDeployment } from '../../functions/custom-resource.ts';
import { openAlarms } from '../../lib/engine/aws/alarms.ts';
import type { AddressRow, Register } from '../../lib/engine/aws/register.ts';

describe('the check of alarms', () => {
  /** CloudWatch with this history for each alarm. */
  async function check(history: (name: string) => string | undefined): Promise<string[]> {
    const calls: string[] = [];
    const alarms = await openAlarms(async () => ({
      async setAlarmState({ AlarmName, StateValue }) {
        calls.push(`${AlarmName} ${StateValue}`);
      },
      async describeAlarmHistory({ AlarmName, StartDate }) {
        assert.equal(StartDate.getTime(), 1_000);
        return { AlarmHistoryItems: [{ HistorySummary: history(AlarmName) }] };
      },
    }));
    await checkAlarms(
      alarms,
      ['critical', 'warning'],
      () => 1_000,
      async () => {},
    );
    return calls;
  }

  test('triggers each, also one in alarm already, and passes when CloudWatch has published', async () => {
    const calls = await check(() => 'Successfully executed action arn:aws:sns:eu-central-1:1:t');
    assert.deepEqual(calls, ['critical OK', 'critical ALARM', 'warning OK', 'warning ALARM']);
  });

  test('fails with the reason of CloudWatch when one topic accepts nothing', async () => {
    const refused = 'Failed to execute action t. Received error: "not authorized to perform: SNS:Publish"';
    await assert.rejects(
      check((name) => (name === 'warning' ? refused : 'Successfully executed action t')),
      /"warning" reaches nobody: Failed to execute action t\..*SNS:Publish.*policies of its topic/s,
    );
  });

  test('fails when CloudWatch does not act', async () => {
    await assert.rejects(
      check(() => undefined),
      /"critical" reaches nobody: CloudWatch did not act/,
    );
  });
});

describe('the addresses of a cell', () => {
  const row = (hostname: string, more: Partial<AddressRow> = {}): AddressRow => ({
    hostname,
    ip: '192.0.2.1',
    allocationId: `eip-${hostname}`,
    node: 'n',
    pools: 'p',
    ptr: 'no',
    ...more,
  });

  async function calls(before: AddressRow[], now: AddressRow[], refuse?: string): Promise<string[]> {
    const made: string[] = [];
    const note = (what: string) => async (one: AddressRow) => {
      if (refuse === what) throw new Error(`${what} refused`);
      made.push(`${what} ${one.hostname} ${one.allocationId}`);
    };
    const register: Register = {
      put: (_, one) => note('put')(one),
      remove: (_, one) => note('remove')(one),
      setPtr: note('set'),
      resetPtr: note('reset'),
    };
    await keepAddresses(register, 'c1', before, now);
    return made;
  }

  test('become rows, with a PTR record where the stage has one', async () => {
    assert.deepEqual(await calls([], [row('a'), row('b', { ptr: 'yes' })]), [
      'put a eip-a',
      'set b eip-b',
      'put b eip-b',
    ]);
  });

  test('that did not change stay as they are', async () => {
    assert.deepEqual(await calls([row('a', { ptr: 'yes' })], [row('a', { ptr: 'yes' })]), []);
  });

  test('lose their PTR record before their release, which it would block', async () => {
    assert.deepEqual(await calls([row('a', { ptr: 'yes' }), row('b')], [row('b')]), [
      'reset a eip-a',
      'remove a eip-a',
    ]);
    assert.deepEqual(await calls([row('a', { ptr: 'yes' })], [row('a')]), ['reset a eip-a', 'put a eip-a']);
  });

  test('whose PTR record EC2 refuses fail the deployment', async () => {
    await assert.rejects(calls([], [row('a', { ptr: 'yes' })], 'set'), /set refused/);
  });
});

describe('the answer to CloudFormation', () => {
  async function answered(work: () => Promise<void>): Promise<Record<string, string>> {
    const bodies: string[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        bodies.push(`${request.method} ${body}`);
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const ResponseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const event = { ResponseURL, StackId: 's', RequestId: 'r', LogicalResourceId: 'l' };
    await answerDeployment(event as CloudFormationCustomResourceEvent, 'id', work);
    server.close();
    assert.ok(bodies[0]!.startsWith('PUT '));
    return JSON.parse(bodies[0]!.slice(4)) as Record<string, string>;
  }

  test('is success, or failure with its reason', async () => {
    const about = { PhysicalResourceId: 'id', StackId: 's', RequestId: 'r', LogicalResourceId: 'l' };
    assert.deepEqual(await answered(async () => {}), { Status: 'SUCCESS', ...about });
    const failed = await answered(async () => {
      throw new Error('No A record yet.');
    });
    assert.deepEqual(failed, { Status: 'FAILED', Reason: 'No A record yet.', ...about });
  });
});
