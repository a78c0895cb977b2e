/** An API process of the cluster: the application that runs on Lambda, behind a server of Node's. */
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { openService } from '../../functions/api-service.ts';
import { readApiSettings } from '../../functions/environment.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { silentLog } from '../../lib/log.ts';
import { createEmf } from '../../lib/observe/emf.ts';
import { systemClock } from '../../lib/time.ts';
import { MASTER_KEY } from '../support/control.ts';
import { TRACKING_KEY } from '../support/tracking.ts';

const settings = readApiSettings(process.env);
const clock = systemClock;
const service = await openService({
  engine: await openAws({ resources: settings.resources, clock }),
  settings,
  masterKey: MASTER_KEY,
  returnPathKey: Buffer.alloc(32, 3),
  trackingKey: TRACKING_KEY,
  clock,
  random: Math.random,
  output: { log: silentLog, emf: createEmf({ now: () => clock.now(), write: () => {} }) },
});
const server = serve({ fetch: service as never, hostname: '127.0.0.1', port: 0 }, () =>
  process.send!({ port: (server.address() as AddressInfo).port }),
);
process.on('disconnect', () => process.exit());
