/** The content of `Outcome.detail`, by the kind of the outcome. Types, not interfaces: they must fit a record. */
import type { BounceType, Category, Cause } from './causes.ts';

/** `bounce`: a report that came after the delivery (RFC 3464, or a bounce in prose). */
/** `subscription`: a reader left a list. */
export type SubscriptionDetail = {
  address: string;
  /** Absent: the sender keeps the list. */
  contactList?: string;
  topic?: string;
  /** What the reader asked for on the preference page, in place of leaving. */
  choices?: ReaderChoices;
  /** What the contact had chosen before, and has now; absent without a list. */
  before?: TopicPreferences;
  after?: TopicPreferences;
};

/** Choices of a reader, by topic. */
export type ReaderChoices = { unsubscribeAll: boolean; topics: Record<string, 'OPT_IN' | 'OPT_OUT'> };

/** Choices of a contact, in the words of SES's events. */
export type TopicPreferences = {
  unsubscribeAll: boolean;
  topicSubscriptionStatus: { topicName: string; subscriptionStatus: 'OptIn' | 'OptOut' }[];
};

export type BounceDetail = {
  /** The recipient as the report names it; absent when it names none. */
  recipient?: string;
  action: string;
  /** Enhanced status code, as `5.1.1`. */
  status: string;
  /** `smtp; 550 5.1.1 user unknown`, as in a DSN's Diagnostic-Code. */
  diagnosticCode?: string;
  /** `dns; host`, as in a DSN's Reporting-MTA. */
  reportingMta?: string;
  /** Text for the delivery's record. */
  text: string;
  /** Absent in a report that an older version recorded. */
  cause?: Cause;
  category: Category;
  bounce: BounceType;
  /** Whether the address itself is at fault, so that it is suppressed. */
  hard: boolean;
};

/** `complaint`: a feedback report (RFC 5965). */
export type ComplaintDetail = {
  recipient?: string;
  /** Found by Message-ID and recipient: no signature of ours proves that the recipient sent it. */
  unsigned?: true;
  /** `abuse`, `fraud`, `not-spam`, `virus`, `auth-failure`, `other` (RFC 5965 §7.3, RFC 6430, RFC 6591). */
  feedbackType: string;
  userAgent?: string;
  /** When the provider received the complaint, since the epoch, ms. */
  arrivalDate?: number;
};

/** `open`: the image was fetched. Strangers supply both fields; they are cut to 1,000 characters. */
export type OpenDetail = {
  ipAddress: string;
  userAgent: string;
};

/** `click`: a link was followed. */
export type ClickDetail = OpenDetail & {
  /** Target of the link. */
  link: string;
  /** Index of the link among the message's tracked links, from 0. */
  place: number;
  /** Null when the link has none, as in SES. */
  linkTags: Record<string, string[]> | null;
};

/** `rendering-failure`: the data of a template lacked a value. */
export type RenderingFailureDetail = {
  templateName?: string;
  errorMessage: string;
};

/** `reject`: content that is not sent, as a virus. SES's reason is `Bad content`. */
export type RejectDetail = { reason: string };
