import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { buildStacks, type Stacks } from '../../lib/stacks/build.ts';
import type { PolicyBundle } from '../../lib/stacks/policy.ts';
import type { Stage } from '../../lib/stacks/stage.ts';

/** A stage with everything that a stage can have. */
export const STAGE: Stage = {
  name: 'test',
  region: 'eu-central-1',
  hostname: 'mail.example.com',
  returnPathDomain: 'bounces.example.com',
  nodes: [
    {
      name: 'a',
      instanceType: 't4g.small',
      addresses: [
        { hostname: 'a1.example.com', pools: ['default'], ptr: true },
        { hostname: 'a2.example.com', pools: ['vip', 'default'], ptr: false },
      ],
    },
    {
      name: 'b',
      instanceType: 't4g.small',
      addresses: [{ hostname: 'b1.example.com', pools: ['default'], ptr: true }],
    },
  ],
  outside: {
    authority: '-----BEGIN CERTIFICATE-----',
    nodes: [{ name: 'c', addresses: [{ ip: '203.0.113.5', hostname: 'c1.example.com', pools: ['hoster'] }] }],
  },
  api: {
    memoryMegabytes: 512,
    concurrency: 20,
    domain: {
      name: 'api.example.com',
      certificate: 'arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012',
      hostedZone: { id: 'Z0123456789ABCDEFGHIJ', name: 'example.com' },
    },
  },
  tracking: {
    name: 'track.example.com',
    certificate: 'arn:aws:acm:us-east-1:123456789012:certificate/87654321-1234-1234-1234-123456789012',
  },
  submission: { hostname: 'smtp.example.com', instanceType: 't4g.micro', instances: 2 },
  claimBeforeSend: true,
  files: { bucket: 'operator-files' },
  dkimZone: 'dkim.mail.example.com',
  eventTargets: [
    'arn:aws:sns:eu-central-1:123456789012:mail-*',
    'arn:aws:events:eu-central-1:123456789012:event-bus/mail',
    'arn:aws:firehose:eu-central-1:123456789012:deliverystream/mail',
    'arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012',
  ],
  tables: { pointInTimeRecovery: true, maxReadUnits: 1_000, maxWriteUnits: 2_000 },
  protect: true,
  logRetention: RetentionDays.ONE_MONTH,
  alarms: { email: 'ops@example.com', minimumVolume: 1_000 },
};

/** A policy with every kind of hook; its files are read only for bundling. */
export const POLICY: PolicyBundle = { files: [], hooks: ['onAccept', 'onRoute'] };

const flags = JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'cdk.json'), 'utf8')) as {
  context: Record<string, unknown>;
};

/**
 * An application with the flags of cdk.json, whose output is removed when the tests end. The check of templates against
 * CloudFormation's rules is left to `cdk synth`: it takes five seconds.
 */
export function openApp(context: Record<string, unknown> = { 'aws:cdk:bundling-stacks': [] }): App {
  const outdir = mkdtempSync(join(tmpdir(), 'postern-stacks-'));
  after(() => rmSync(outdir, { recursive: true }));
  return new App({
    context: { ...flags.context, ...context },
    outdir,
    builtinCloudFormationValidation: false,
  });
}

export interface Synthesised {
  app: App;
  stacks: Stacks;
  template(stack: Stack): Template;
}

/** The stacks of a stage, without their bundles. */
export function openStacks(stage: Stage = STAGE, policy?: PolicyBundle, only?: string): Synthesised {
  const app = openApp();
  const stacks = buildStacks(app, stage, policy, only);
  return { app, stacks, template: (stack) => Template.fromStack(stack) };
}

/** Every stack of a stage, by the last part of its name. */
export function stacksByPart({ cells, ...stacks }: Stacks): Record<string, Stack> {
  const ofCells = [...cells].flatMap(([name, { egress, monitoring }]): [string, Stack][] => [
    [name, egress],
    [`${name}-monitoring`, monitoring],
  ]);
  return { ...stacks, ...Object.fromEntries(ofCells) };
}

export interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
  DeletionPolicy?: string;
  UpdateReplacePolicy?: string;
  DependsOn?: string[];
}

/** Resources of a type, by logical id. */
export function resourcesOf(template: Template, type: string): [string, Resource][] {
  return Object.entries(template.findResources(type) as Record<string, Resource>);
}
