/** The stored configuration as other rooms see it. All of it lives in the engine's config port. */
import type { SuppressionReason, SuppressionScope } from '../engine/suppression.ts';
import type { SigningKey } from '../mail/types.ts';
import type { Directives } from './directives.ts';
import type { Documents } from './documents.ts';
import type { EventDestinations } from './event-destinations.ts';
import type { IdentityPolicies } from './identity-policies.ts';
import type { KeyRestrictions } from './key-scope.ts';
import type { KeyUse } from './key-use.ts';
import type { LaneGroups } from './lane-groups.ts';
import type { SendingLimits } from './sending-limits.ts';
import type { Tenants } from './tenants.ts';

/** An access key. The secret must be recoverable (SigV4 is an HMAC) and is kept encrypted. */
export interface AccessKey extends KeyRestrictions {
  id: string;
  secret: string;
  tenant: string;
  /** Whether the key may manage keys, identities and tenants; otherwise it may only send and read within its tenant. */
  admin: boolean;
  name?: string;
  createdAt: number;
  limits?: SendingLimits;
  /** Its successor; absent: it was not rotated. */
  replaced?: Replacement;
}

/** Of a key that was rotated. */
export interface Replacement {
  /** Its successor's id. */
  by: string;
  /** When it ends because of that, and when it would have ended without, ms; absent: never. */
  until: number;
  before?: number;
}

/** A key as it is stored. */
export interface StoredKey extends Omit<AccessKey, 'secret'> {
  sealedSecret: string;
}

/** The result of one call of `recheck`. */
export interface Recheck {
  checked: number;
  /** Domains that may no longer send, and those that may again. */
  lost: string[];
  regained: string[];
  /** Domains whose prepared key signs from now on. */
  turned: string[];
  /** Number of domains without an answer from DNS. */
  unanswered: number;
}

/** The result of one call of `turnKeys`. */
export interface KeyTurns {
  /** Domains for which the next key was made and published. */
  prepared: string[];
  /** Domains whose next key has not been found in DNS for long: their present key goes on signing. */
  overdue: string[];
  /** Number of records without an identity that were removed. */
  collected: number;
}

/** The zone in which the keys of Easy DKIM are. */
export interface DkimZone {
  /** As `dkim.mail.example.com`. */
  readonly name: string;
  /** Whether another process writes it into a name server elsewhere. */
  readonly isElsewhere: boolean;
  /** Text of the TXT record of a token. @throws PosternError of the storage group. */
  find(token: string): Promise<string | undefined>;
  /** In the order of tokens. @throws PosternError of the storage group. */
  list(page?: Page): Promise<{ token: string; value: string }[]>;
}

/** A DNS record to publish. A zone file needs a TXT value longer than 255 characters in several strings. */
export interface DnsRecord {
  name: string;
  type: 'TXT' | 'CNAME' | 'MX';
  value: string;
}

/** Where the proof of a MAIL FROM domain stands. */
export interface MailFromProof {
  status: 'PENDING' | 'SUCCESS' | 'FAILED' | 'TEMPORARY_FAILURE';
  /** What becomes of mail while the domain is not seen: SES's `BehaviorOnMxFailure`. */
  onMxFailure: 'USE_DEFAULT_VALUE' | 'REJECT_MESSAGE';
  /** When the domain was set, since the epoch, ms. */
  since: number;
  checkedAt?: number;
  /** Clear negative answers in a row. */
  missing: number;
}

export type KeyLength = 'RSA_1024_BIT' | 'RSA_2048_BIT';

/** `TEMPORARY_FAILURE`: the keys were found before, and at present DNS gives no answer, or for the first time another. */
export type DkimStatus = 'PENDING' | 'SUCCESS' | 'FAILED' | 'TEMPORARY_FAILURE' | 'NOT_STARTED';

/**
 * The source of an identity's keys: one that is brought, as selector and base64 of PKCS#1 or PKCS#8 DER without PEM
 * lines (the form of SES), or one that is made here. `anew` replaces a key that was made here before.
 */
export type KeySource =
  | { byo: { selector: string; privateKey: string } }
  | { keyLength?: KeyLength; anew?: true };

/** A sending identity: a domain or a single address. */
export interface Identity {
  /** `example.com` or `user@example.com`, lower case domain (A-label). */
  name: string;
  type: 'DOMAIN' | 'EMAIL_ADDRESS';
  tenant: string;
  verified: boolean;
  createdAt: number;
  configurationSet?: string;
  dkim: {
    signingEnabled: boolean;
    origin: 'AWS_SES' | 'EXTERNAL';
    /** Selectors that must be in DNS (Easy DKIM's tokens, or the supplied one). */
    tokens: string[];
    /** Zone of the operator's to whose keys the tokens lead (SES's `SigningHostedZone`); absent: none. */
    hostedZone?: string;
    /** Length of the key that signs, and of the one that will take its turn. */
    keyLength?: KeyLength;
    nextKeyLength?: KeyLength;
    /** When the newest key was made, since the epoch, ms; absent: by an earlier version, or elsewhere. */
    keyMadeAt?: number;
    status: DkimStatus;
    /** To be published by the operator of the domain. */
    records: DnsRecord[];
  };
  feedbackForwarding: boolean;
  /** Return path of its own: used while `mailFrom` says that its DNS leads here (mail-from.ts). */
  mailFromDomain?: string;
  mailFrom?: MailFromProof;
  tags?: { Key: string; Value: string }[];
  /** Whether it has, or had, sending authorisation policies. */
  policed?: boolean;
}

export interface ConfigurationSet {
  name: string;
  tenant: string;
  delivery: {
    tlsPolicy: 'REQUIRE' | 'OPTIONAL';
    pool?: string;
    maxDeliverySeconds?: number;
    /** Kept for SES's API: there are no shared addresses in other regions here. */
    sharedPoolMode?: 'ACCOUNT' | 'GLOBAL' | 'REGIONAL';
  };
  sendingEnabled: boolean;
  reputationMetricsEnabled: boolean;
  tracking?: { customRedirectDomain?: string; httpsPolicy?: string };
  /** Override the tenant's attributes. */
  suppressedReasons?: SuppressionReason[];
  suppressionScope?: SuppressionScope;
  /** Options of SES's Virtual Deliverability Manager as they were given, for SES's API. */
  vdm?: { engagementMetrics?: 'ENABLED' | 'DISABLED'; sharedDelivery?: 'ENABLED' | 'DISABLED' };
  tags?: { Key: string; Value: string }[];
  createdAt: number;
}

/** What SES's API keeps of the account for whoever asks; Postern itself goes by `autoWarmup` alone. */
export interface AccountAttributes {
  details?: {
    mailType: 'MARKETING' | 'TRANSACTIONAL';
    websiteUrl: string;
    contactLanguage?: 'EN' | 'JA';
    useCase?: string;
    contacts?: string[];
  };
  /** Whether Amazon's Virtual Deliverability Manager was switched on: its figures are answered either way. */
  vdm?: 'ENABLED' | 'DISABLED';
  engagementMetrics?: 'ENABLED' | 'DISABLED';
  sharedDelivery?: 'ENABLED' | 'DISABLED';
  /** Whether an address that a routing document adds begins a warm-up by itself. Absent: it does. */
  autoWarmup?: boolean;
  /** Mode of Amazon's shared addresses, which do not exist here. */
  sharedPoolMode?: 'GLOBAL' | 'REGIONAL';
}

/** A tenant's use of suppression lists. */
export interface SuppressionAttributes {
  /** Absent: the tenant's own list. */
  scope?: SuppressionScope;
  /** Reasons for which addresses are listed and not sent to; absent: the account's. */
  reasons?: readonly SuppressionReason[];
}

export interface StoredTemplate {
  name: string;
  tenant: string;
  subject?: string;
  text?: string;
  html?: string;
  tags?: { Key: string; Value: string }[];
  createdAt: number;
}

/** A page of a list: what follows a name, in the order of names. */
export interface Page {
  after?: string;
  /** Absent: all that follow. */
  max?: number;
}

/**
 * What belongs to tenants is read by key when it is needed, and held for a while (document-cache.ts); what all share is
 * in memory. Writes are durable when they resolve. All that is asynchronous may throw PosternErrors of the storage
 * group.
 */
export interface Control {
  keys: {
    find(id: string): Promise<AccessKey | undefined>;
    /** In the order of ids. */
    list(tenant?: string, page?: Page): Promise<AccessKey[]>;
    /** Ids of administrators' keys that nothing restricts, two at most: for whoever asks whether there is any, or another one. */
    administrators(): Promise<string[]>;
    /** Makes a key: `AKIA…` id of 20 characters, secret of 40. */
    create(input: {
      tenant: string;
      admin: boolean;
      name?: string;
      id?: string;
      secret?: string;
      limits?: SendingLimits;
      restrictions?: KeyRestrictions;
    }): Promise<AccessKey>;
    /** Replaces what is given, in force everywhere within a second. @throws `not_found`, `bad_request` */
    update(
      id: string,
      change: { name?: string; limits?: SendingLimits; restrictions?: KeyRestrictions },
    ): Promise<AccessKey>;
    /**
     * Makes a successor with the same rights; the old key ends after `overlap`, ms.
     * @throws `not_found`, `key_replaced` while a successor exists, `bad_request` for a key that has expired.
     */
    rotate(id: string, overlap: number): Promise<AccessKey>;
    revoke(id: string): Promise<boolean>;
  };
  /** Absent: nobody signs in at this process. */
  keyUse?: Pick<KeyUse, 'note' | 'last' | 'flush'>;
  identities: {
    find(name: string): Promise<Identity | undefined>;
    /** The identity that permits `address` as a From: the address itself, its domain, or a parent domain. */
    forSender(address: string, tenant: string): Promise<Identity | undefined>;
    /** The proven identities, of whichever tenant, that permit `address` as a From: itself, then the nearest domain. */
    covering(address: string): Promise<Identity[]>;
    /** Whether any of these domains is an identity. */
    haveAny(domains: readonly string[]): Promise<boolean>;
    /** In the order of names. */
    list(tenant?: string, page?: Page): Promise<Identity[]>;
    create(input: {
      name: string;
      tenant: string;
      configurationSet?: string;
      tags?: { Key: string; Value: string }[];
      /** A key of your own; absent: one is made here, of `keyLength` or 2,048 bits. */
      byo?: { selector: string; privateKey: string };
      keyLength?: KeyLength;
    }): Promise<Identity>;
    update(name: string, change: (identity: Identity) => Identity): Promise<Identity>;
    /** The records that an identity needs in DNS: of its keys, and of its MAIL FROM domain. */
    records(identity: Identity): DnsRecord[];
    delete(name: string): Promise<boolean>;
    /** Keys that sign for a domain's mail, decrypted; empty when signing is off. Cached. */
    signingKeys(identity: Identity): Promise<SigningKey[]>;
    /**
     * Asks for signing keys of a source. Keys that were made here are kept, with their tokens, unless `anew` or another
     * length is asked for.
     * @throws `bad_request` for a key that is invalid, and for a second change of the length within a day.
     */
    setSigning(name: string, signing: KeySource): Promise<Identity>;
    /**
     * Notes that the owner of an address has confirmed it. @returns false when that identity is not there any more, or
     * is no address.
     */
    confirm(identity: Pick<Identity, 'name' | 'createdAt'>): Promise<boolean>;
    /** Looks the proofs up in DNS and updates `verified` and `dkim.status`. */
    check(name: string): Promise<Identity>;
    /**
     * Checks the proofs that are due: daily, or hourly while one is missing or awaited. Does nothing where no proof
     * is required.
     * @throws PosternError of the storage group.
     */
    recheck(): Promise<Recheck>;
    /**
     * Prepares the keys that are to take their turn, and collects what is published for nobody. Does nothing without a
     * zone for keys. @throws PosternError of the storage group.
     */
    turnKeys(): Promise<KeyTurns>;
  };
  /** Zone in which the keys of Easy DKIM are published; absent: the operator has none. */
  dkimZone?: DkimZone;
  configurationSets: {
    find(name: string, tenant: string): Promise<ConfigurationSet | undefined>;
    /** A tenant's sets, in the order of names. */
    list(tenant: string, page?: Page): Promise<ConfigurationSet[]>;
    /** A set, of any tenant, that sends by a pool; reads all sets of all tenants. */
    withPool(pool: string): Promise<ConfigurationSet | undefined>;
    create(set: ConfigurationSet): Promise<void>;
    update(
      name: string,
      tenant: string,
      change: (set: ConfigurationSet) => ConfigurationSet,
    ): Promise<ConfigurationSet>;
    delete(name: string, tenant: string): Promise<boolean>;
  };
  templates: {
    find(name: string, tenant: string): Promise<StoredTemplate | undefined>;
    /** A tenant's templates without their content, in the order of names. */
    list(tenant: string, page?: Page): Promise<Pick<StoredTemplate, 'name' | 'createdAt'>[]>;
    create(template: StoredTemplate): Promise<void>;
    update(template: StoredTemplate): Promise<void>;
    delete(name: string, tenant: string): Promise<boolean>;
  };
  account: {
    sendingEnabled(): Promise<boolean>;
    setSendingEnabled(enabled: boolean): Promise<void>;
    /** How much all tenants together may send; absent: no limit. */
    limits(): Promise<SendingLimits | undefined>;
    /** Replaces them. @throws `bad_request` */
    setLimits(limits: SendingLimits): Promise<void>;
    attributes(): Promise<AccountAttributes>;
    /** Sets those that are given; the others stay. */
    setAttributes(given: AccountAttributes): Promise<void>;
    /** The attributes that were set for a tenant; those of `ACCOUNT_TENANT` are the account's. */
    suppressionAttributes(tenant: string): Promise<SuppressionAttributes>;
    setSuppressionAttributes(tenant: string, attributes: SuppressionAttributes): Promise<void>;
    /**
     * Which list applies to a message (the name of its tenant), and for which reasons. As with new SES accounts the
     * account's reasons are both, if none were set.
     */
    suppression(
      tenant: string,
      set?: Pick<ConfigurationSet, 'suppressedReasons' | 'suppressionScope'>,
    ): Promise<{ list: string; reasons: readonly SuppressionReason[] }>;
  };
  tenants: Tenants;
  identityPolicies: IdentityPolicies;
  eventDestinations: EventDestinations;
  directives: Directives;
  documents: Documents;
  laneGroups: LaneGroups;
  /**
   * Changes of what belongs to tenants (their own documents, keys, identities, sets, templates, destinations) that this
   * process knows of: while it is the same, what follows from them is.
   */
  changes(): number;
  /** Resolves when the directives of rules are stored. */
  close(): Promise<void>;
}
