/** Passes reports about mail from a warming IP to its warm-up. */
import type { WarmupReports } from '../control/warmup-reports.ts';
import type { Records } from '../engine/ports.ts';
import type { Feedback } from '../outcome/feedback.ts';
import { providerOf } from '../shaping/providers.ts';
import type { Clock } from '../time.ts';
import type { WarmupBook } from '../warmup/book.ts';
import { signalOfReport } from '../warmup/signals.ts';
import type { ReportTarget } from './recorder.ts';

export interface WarmupFeedbackParts {
  records: Pick<Records, 'deliveries'>;
  reports: WarmupReports;
  /** Lists the IPs that warm up, on all nodes. */
  book: WarmupBook;
  clock: Clock;
}

/**
 * Makes the handler for `InboundOptions.onFeedback`. The delivery's attempts are read only while some IP warms up.
 * @returns resolves when the report is durable. @throws PosternError of the storage group.
 */
export function warmupFeedback({ records, reports, book, clock }: WarmupFeedbackParts) {
  return async (feedback: Feedback, { messageId, n }: ReportTarget): Promise<void> => {
    const warming = book.ips();
    const signal = signalOfReport(feedback);
    if (warming.length === 0 || signal === undefined) return;
    const delivery = (await records.deliveries(messageId)).find((one) => one.n === n);
    const { ip, mx, provider } = delivery?.attempts.findLast(({ state }) => state === 'delivered') ?? {};
    if (ip === undefined || mx === undefined || !warming.includes(ip)) return;
    const warmed = provider ?? providerOf([mx.host]);
    await reports.put({ ip, provider: warmed, signal, at: clock.now() }, { messageId, n });
  };
}
