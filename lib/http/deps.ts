/** Dependencies of every route of the HTTP API: the rooms below it, and the few facts of this installation. */
import type { Accept } from '../accept/types.ts';
import type { Backups } from '../control/backup/backups.ts';
import type { Installed } from '../control/ip-inventory.ts';
import type { Control } from '../control/types.ts';
import type { DomainChecks } from '../doctor/domain-check.ts';
import type { HealthChecks } from '../doctor/health-check.ts';
import type { Engine } from '../engine/ports.ts';
import type { EventAccess } from '../events/access.ts';
import type { EventPull } from '../events/pull.ts';
import type { ResultLinks } from '../jobs/result-links.ts';
import type { Policy } from '../policy/open.ts';
import type { ExplainQuery, MailExplanation } from '../shaping/explain.ts';
import type { MailInHand } from '../shaping/held-mail.ts';
import type { ForgottenLessons } from '../shaping/site-memory.ts';
import type { Clock } from '../time.ts';
import type { VerificationLinks } from '../tracking/verification-links.ts';
import type { Incoming } from './raw-request.ts';

/** One line of the log: an event's name and its fields. Never a body, a secret or an Authorization header. */
export interface ApiLog {
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}

export interface ApiLimits {
  /** Maximum size of one message as it travels (SES: 40 MB after base64), bytes. */
  messageBytes: number;
  /** Time that a body may take before its rate counts, ms. */
  bodyGrace: number;
  /** Minimum rate of a body after that, bytes a second; a slower one is answered 408. */
  bodyRate: number;
  /** Maximum of all bodies of proven callers at one time, bytes; above it a large request is answered 429. */
  bufferedBytes: number;
  /** Maximum of all bodies at one time whose callers are proven by the whole body alone, bytes; above it 429. */
  unprovenBytes: number;
  /** Rate that `GetAccount` reports to callers that pace themselves by it, messages a second. */
  sendRate: number;
}

export const DEFAULT_LIMITS: ApiLimits = {
  messageBytes: 40 * 1024 * 1024,
  bodyGrace: 20_000,
  bodyRate: 16 * 1024,
  bufferedBytes: 512 * 1024 * 1024,
  // One request of the largest size, and some small ones beside it.
  unprovenBytes: 64 * 1024 * 1024,
  sendRate: 1000,
};

export interface Verification {
  links: VerificationLinks;
  /** URL of this API as readers of mail reach it, without a path; undefined: they do not. @param host of the call. */
  url(host: string): string | undefined;
}

export interface ApiDeps {
  accept: Accept;
  control: Control;
  engine: Engine;
  /** Pools and source addresses, as far as no document names them. */
  installed: Installed;
  clock: Clock;
  /** Checks of sending domains in DNS. */
  domains: Pick<DomainChecks, 'check' | 'takesMail'>;
  /** Checks of the installation. */
  health: Pick<HealthChecks, 'report'>;
  /** Named in ARNs and in messages, as `us-east-1`. */
  region: string;
  /** Twelve digits, named in ARNs. */
  accountId: string;
  /** Host name of this installation, as in HELO. */
  hostname: string;
  /** Where opens and clicks are tracked for sets without a domain of their own; absent: nowhere. */
  trackingUrl?: string;
  /** Makes and reads the links of verification mails; absent: none are sent. */
  verification?: Verification;
  /** Links to results of jobs, where the store of files has none of its own; absent: it has. */
  results?: { links: ResultLinks; url(host: string): string };
  /** Wakes the worker of jobs in this process; absent: another one looks by itself. */
  wakeJobs?: () => void;
  /** Version of Postern. */
  version: string;
  log: ApiLog;
  limits?: Partial<ApiLimits>;
  /** Whether each answer of the SES API is held against Amazon's model, and one that parts from it fails: for tests. */
  checkAnswers?: boolean;
  /** Backups of the store of this process; absent: it has none of its own. */
  backups?: Backups;
  /** Explains why mail waits in the egress of this process; absent: this process sends no mail. */
  explain?: (query: ExplainQuery) => Promise<MailExplanation[]>;
  /** Forgets what the egress of this process has learnt of a site; absent: this process sends no mail. */
  forgetSite?: (site: string) => ForgottenLessons;
  /** Source addresses of the egress of this process; absent: this process sends no mail. */
  sources?: () => {
    ip: string | undefined;
    ehloName: string;
    usable: boolean;
    trouble: string;
    connections: number;
  }[];
  /** What the egress of this process has in hand; absent: this process sends no mail. */
  held?: () => MailInHand;
  /** Why a delivery in the egress of this process waits; undefined: it is being sent. */
  waitStatus?: (messageId: string, n: number) => { code: string; text: string; until: number } | undefined;
  /** Why the egress of this process leases nothing from a lane; undefined: it does. */
  laneRest?: (lane: string) => { code: string; text: string; until: number } | undefined;
  /** Events on their way to destinations; absent: this process sends none. */
  events?: EventAccess;
  /** Events of the past for those who fetch them; absent: none are kept for that. */
  pull?: EventPull;
  /** Whether bounces and complaints are forwarded by mail. */
  forwardsFeedback: boolean;
  /** Address for aggregate reports about a domain; absent: this service takes none. */
  reportAddress?: (domain: string, mailFromDomain: string | undefined) => string;
  /** Aborted when the listener closes: streams end then. */
  closing?: AbortSignal;
  /** The policy in TypeScript; absent: this process runs none. */
  policy?: Pick<Policy, 'state'>;
}

/** Hono's environment: the raw request is what signatures are verified on. */
export interface ApiEnv {
  Bindings: { incoming: Incoming };
}
