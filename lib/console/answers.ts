/** What pages read of the answers of `/v1`; `/v1/openapi.json` describes them whole. */

export interface ApiCounts {
  accepted?: number;
  sent?: number;
  delivered?: number;
  deferred?: number;
  permanentBounces?: number;
  transientBounces?: number;
  complaints?: number;
  opens?: number;
  clicks?: number;
  suppressed?: number;
}
export interface ApiStatistics {
  points: (ApiCounts & { at: string; value?: string })[];
  total: ApiCounts;
  next?: string;
}

export interface ApiDelivery {
  recipient: string;
  state: string;
  reason: string;
}
export interface ApiFoundMessage {
  id: string;
  tenant: string;
  acceptedAt: string;
  from: string;
  subject?: string;
  class: string;
  pool: string;
  campaign?: string;
  configurationSet?: string;
  recipients: number;
  deliveries: ApiDelivery[];
}
export interface ApiAttempt {
  at: string;
  durationMs: number;
  sourceIp?: string;
  mx?: { host: string; address: string; port: number };
  tls?: { protocol: string; cipher: string; verified: boolean };
  replies: { phase: string; code: number; text: string }[];
  state: string;
  reason: string;
  text: string;
  uncertain: boolean;
  nextAttemptAt?: string;
}
export interface ApiMessage extends Omit<ApiFoundMessage, 'recipients' | 'deliveries'> {
  keyId: string;
  door: string;
  sourceIp?: string;
  expiresAt: string;
  tags: Record<string, string[]>;
  size: number;
  deliveries: (ApiDelivery & {
    text: string;
    action?: string;
    nextAttemptAt?: string;
    attempts: ApiAttempt[];
  })[];
}
/** An event as Amazon SES publishes it, as far as a line shows it. */
export interface ApiSesEvent {
  eventType?: string;
  mail?: { timestamp?: string; destination?: string[]; commonHeaders?: { subject?: string } };
  [detail: string]: unknown;
}

export interface ApiLimitLine {
  limit: string;
  value: string;
  origin: string;
  used?: string;
  waitMs?: number;
}
export interface ApiExplanation {
  recipient?: string;
  site: string;
  provider: string;
  ip?: string;
  waiting?: number;
  nextAt: string;
  binding?: ApiLimitLine;
  limits: ApiLimitLine[];
}

export interface ApiDirective {
  id: string;
  match: Record<string, string>;
  action: { kind: string; pool?: string; limits?: Record<string, number> };
  reason: string;
  at: string;
  until?: string;
  origin: { rule?: string; reply?: string; operator?: string; tenant?: string };
  raised?: number;
  waiting?: ApiWaiting;
}
export interface ApiWaiting {
  deferred: number;
  queued?: number;
  complete: boolean;
  hastened?: number;
  note?: string;
}

export interface ApiWarmupProvider {
  provider: string;
  warm: boolean;
  day: number;
  days: number;
  budget?: number;
  sent: number;
  counts: Record<string, number>;
  steppedBack: boolean;
  cause?: string;
  ahead?: number[];
  past?: ApiWarmupDay[];
}
export interface ApiWarmupDay {
  at: string;
  budget: number;
  sent: number;
  counts: Record<string, number>;
  verdict: string;
  cause?: string;
}
export interface ApiWarmingIp {
  ip: string;
  pools: string[];
  warm: boolean;
  percentage: number;
  providers: ApiWarmupProvider[];
  problem?: string;
}

export interface ApiDocument {
  kind: string;
  name: string;
  version: number;
  at: string;
  by: string;
  removed: boolean;
  value?: Record<string, unknown>;
  problems?: string[];
}

export interface ApiIdentity {
  name: string;
  type: string;
  tenant: string;
  verified: boolean;
  dkimStatus: string;
  createdAt: string;
}
export interface ApiIdentityDns extends Omit<ApiIdentity, 'createdAt'> {
  mailFrom?: { domain: string; status: string };
  records: { name: string; type: string; value: string }[];
}

export interface ApiSuppression {
  tenant: string;
  address: string;
  reason: string;
  since: string;
  why?: string;
  messageId?: string;
}
export interface ApiImport {
  id: string;
  list: string;
  action: string;
  status: string;
  createdAt: string;
  rows: number;
  taken: number;
  unchanged: number;
  failed: number;
  error?: string;
  failures?: { line: number; what: string; why: string }[];
}

export interface ApiDestination {
  id: string;
  name: string;
  tenant?: string;
  configurationSet?: string;
  enabled: boolean;
  disabledBecause?: string;
  types: string[];
  target: { kind: string; url?: string; secret?: string } & Record<string, unknown>;
  createdAt: string;
  health?: {
    waiting: number;
    taken: number;
    dropped: number;
    failures: number;
    lastError?: string;
    oldest?: string;
    replaying: boolean;
  };
}
export interface ApiDestinationAttempt {
  at: string;
  eventId: string;
  eventType: string;
  messageId: string;
  result: string;
  text?: string;
}

export interface ApiKey {
  id: string;
  tenant: string;
  admin: boolean;
  name?: string;
  createdAt: string;
  lastUsedAt?: string;
}
export interface ApiTemplate {
  name: string;
  tenant: string;
  createdAt: string;
  subject?: string;
  text?: string;
  html?: string;
}
export interface ApiReputation {
  tenant?: string;
  sent: number;
  bounces: number;
  complaints: number;
  bounceRate: number;
  complaintRate: number;
  representative: boolean;
  verdict: string;
  text: string;
  paused: boolean;
  directive?: string;
}
export interface ApiPulledEvent {
  cursor: string;
  id: string;
  type: string;
  at: string;
  tenant: string;
  messageId: string;
  event: ApiSesEvent;
}
export interface ApiPolicyState {
  file?: string;
  refused?: { at: string; message: string };
  disabled?: string;
  hooks: { name: string; disabled?: string; failures: number; lastFailure?: { message: string } }[];
}

export interface ApiQueueRow {
  provider?: string;
  pool?: string;
  ip?: string;
  tenant?: string;
  site?: string;
  class?: string;
  ready: number;
  inHand: number;
  later: number;
  oldest?: string;
  connections?: number;
  ratePerSecond?: number;
  limitPerSecond?: number;
  binding?: { limit: string; value?: string; origin?: string; text: string; deliveries: number };
  nextAt?: string;
}
export interface ApiQueues {
  at: string;
  rows: ApiQueueRow[];
  total: { ready: number; inHand: number; later: number };
  ledger?: { count: number; next?: string };
  next?: string;
  notes: string[];
}

export interface ApiTenant {
  name: string;
  createdAt: string;
  sending: string;
  ordered: { status: string; cause?: string; at: string };
  rated: { status: string; cause?: string; at: string };
  reputationPolicy: string;
}

/** What the doctor found. */
export interface ApiFinding {
  id: string;
  severity: 'error' | 'warning' | 'notice';
  subject: string;
  text: string;
  why: string;
  remedy: string;
  record?: { name: string; type: string; value: string };
  command?: string;
}
export interface ApiDomainReport {
  domain: string;
  checkedAt: string;
  ok: boolean;
  findings: ApiFinding[];
  seen: { check: string; name: string; type: string; values: string[] }[];
}

export interface ApiSourceIp {
  ip: string;
  pools: string[];
  node?: string;
  ehloName?: string;
  connections?: number;
  trouble?: string;
  paused: { directive: string; reason: string; until?: string }[];
  warm: boolean;
  percentage: number;
  today: ApiCounts;
}

export interface ApiHealth {
  checkedAt: string;
  ok: boolean;
  findings: ApiFinding[];
  checks: { name: string; state: string; text?: string }[];
}
