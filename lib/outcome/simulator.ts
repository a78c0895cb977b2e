/**
 * The mailbox simulator: addresses at `simulator.amazonses.com` that behave in a known way, so that a program
 * written against SES can test its bounce handling here. They are answered in the process and never dialled.
 * (SES developer guide, "Using the mailbox simulator".)
 */
import type { AttemptResult } from './classify.ts';
import type { ComplaintDetail } from './details.ts';

/** Reports that follow the delivery. */
export type LaterReport =
  | { kind: 'complaint'; after: number; detail: ComplaintDetail }
  /** An out-of-office reply to the return path: accepted, counted and dropped, as any other. */
  | { kind: 'auto-reply'; after: number };

export interface Simulation {
  result: AttemptResult;
  /** In order; `after` counts from the attempt, ms. */
  later: LaterReport[];
}

const SIMULATOR_DOMAIN = 'simulator.amazonses.com';
/** A real complaint takes minutes or days; a test should not wait that long. */
const REPORT_DELAY = 1000;

const SUPPRESSED_TEXT =
  'Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an ' +
  'invalid address. For more information about how to remove an address from the suppression list, see the ' +
  'Amazon SES Developer Guide: ' +
  'http://docs.aws.amazon.com/ses/latest/DeveloperGuide/remove-from-suppressionlist.html';

/** Whether a domain (lower case A-label) belongs to the simulator. */
export function isSimulator(domain: string): boolean {
  return domain === SIMULATOR_DOMAIN;
}

/** Whether an address is at the simulator. */
export function isSimulatorAddress(address: string): boolean {
  return isSimulator(address.slice(address.lastIndexOf('@') + 1).toLowerCase());
}

/**
 * Plays the recipient's side. `+label` after the local part is allowed and ignored; an undefined local part is an
 * unknown user.
 * @param recipient envelope recipient at a simulator domain. @param now since the epoch, ms.
 */
export function simulate(recipient: string, now: number): Simulation {
  const local = recipient.slice(0, recipient.lastIndexOf('@')).split('+')[0]!.toLowerCase();
  switch (local) {
    case 'success':
      return { result: taken(), later: [] };
    case 'complaint':
      return { result: taken(), later: [complaint(recipient, now + REPORT_DELAY)] };
    case 'ooto':
      return { result: taken(), later: [{ kind: 'auto-reply', after: REPORT_DELAY }] };
    case 'suppressionlist':
      return {
        result: { kind: 'unsent', phase: 'rcpt', code: 'suppressed', text: SUPPRESSED_TEXT },
        later: [],
      };
    default:
      return {
        result: {
          kind: 'refused',
          phase: 'rcpt',
          reply: { code: 550, enhanced: '5.1.1', lines: ['user unknown'] },
        },
        later: [],
      };
  }
}

function taken(): AttemptResult {
  return {
    kind: 'accepted',
    phase: 'body',
    reply: { code: 250, enhanced: '2.6.0', lines: ['Message received'] },
  };
}

function complaint(recipient: string, arrivalDate: number): LaterReport {
  return {
    kind: 'complaint',
    after: REPORT_DELAY,
    detail: {
      recipient,
      feedbackType: 'abuse',
      userAgent: 'Amazon SES Mailbox Simulator',
      arrivalDate,
    },
  };
}
