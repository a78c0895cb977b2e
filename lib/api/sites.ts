/** Sites: what was learnt of one may be forgotten. */
import * as z from 'zod/mini';
import { orderForgotten } from '../control/forgotten-sites.ts';
import { PosternError } from '../errors.ts';
import { iso, label, operation, requireAdmin } from './operation.ts';
import { about, named, text, time } from './schema.ts';

/** Longest name of a site: 20 hosts of 253 characters and what is between them. */
const MAX_SITE = 6_000;

const ForgottenSite = named(
  'ForgottenSite',
  z.strictObject({
    site: text('Set of MX hosts.'),
    at: time('What was learnt until then is forgotten.'),
    directives: z.array(text()).check(about('Directives of rules for the site that were ended, by id.')),
    sources: z
      .array(
        z.strictObject({
          ip: z.optional(text("Source address; absent: the host's default.")),
          lessons: z
            .array(z.enum(['messageRate', 'connections', 'messagesPerConnection', 'backOff']))
            .check(about('What it had learnt; `backOff`: that the site cannot be reached.')),
        }),
      )
      .check(about('Source addresses of the process that answers, as far as they had learnt something.')),
    hosts: z
      .array(text())
      .check(about('Hosts of which it was remembered how they are spoken to: TLS, PIPELINING, CHUNKING.')),
    note: z.optional(text('What the answer cannot show.')),
  }),
);

const forgetSite = operation({
  method: 'post',
  path: '/sites/{site}/forget',
  operationId: 'forgetSite',
  summary: "Forget what was learnt of a site from its replies and faults (administrator's key)",
  description:
    'For a site whose trouble is over: its learnt message rate, connections and messages over one connection, its ' +
    'back-off, and how its hosts are spoken to, on every source address, and the directives that rules raised for it. ' +
    'Every node follows within two seconds, and what is stored of the site from before is not used again. What was ' +
    'sent goes on being counted. Deferred mail keeps its time: see `POST /deliveries/retry`.',
  parameters: [label('site', 'Set of MX hosts, as named in the reasons of messages.')],
  answer: {
    status: 200,
    description: 'What was forgotten.',
    schema: ForgottenSite,
    example: {
      site: 'mx.example.com',
      at: '2026-01-01T00:00:00.000Z',
      directives: [],
      sources: [{ ip: '192.0.2.1', lessons: ['messageRate', 'backOff'] }],
      hosts: ['mx.example.com'],
    },
  },
  async handle(call) {
    requireAdmin(call, 'forget what was learnt of a site');
    const { caller, deps } = call;
    const { control, engine, clock, log } = deps;
    const site = call.params.site!.toLowerCase();
    if (site.length > MAX_SITE || /[^\x21-\x7e]/.test(site)) {
      throw new PosternError(
        'bad_request',
        'site is not the name of a site, as the reasons of messages have it.',
      );
    }
    const at = clock.now();
    const raised = control.directives
      .list()
      .filter(({ match, origin }) => 'rule' in origin && match.site === site)
      .map(({ id }) => id);
    const forgotten = deps.forgetSite?.(site);
    for (const id of raised) await control.directives.remove(id);
    await orderForgotten(engine.config, { site, at, by: caller.keyId });
    log.info('site.forgotten', { site, key: caller.keyId, directives: raised.length });
    const { sources = [], hosts = [] } = forgotten ?? {};
    const note = forgotten
      ? undefined
      : 'This process sends no mail: each node forgets what it has learnt by itself.';
    return { body: { site, at: iso(at), directives: raised, sources, hosts, note } };
  },
});

export const SITES = [forgetSite];
