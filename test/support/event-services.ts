/**
 * EventBridge, Firehose and CloudWatch for tests: what the SDK's own clients send is taken by their wire protocol (AWS
 * JSON 1.0 and 1.1), and each entry is answered as the test wants.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came: of PutEvents, PutRecordBatch or PutMetricData. */
export interface ServiceCall {
  operation: string;
  // biome-ignore lint/suspicious/noExplicitAny: the body of another service
  input: any;
}

/** The failure of an entry, by its place; or of the whole call. */
export interface ServiceFault {
  code: string;
  /** Absent: the whole call fails, with this status. */
  entry?: (place: number) => boolean;
  status?: number;
}

export interface EventServices {
  url: string;
  calls: ServiceCall[];
  /** What each operation answers, until it is changed; a function is asked for each call. */
  faults: Map<string, ServiceFault | (() => ServiceFault | undefined)>;
  /** Operations that get no answer at all. */
  silent: Set<string>;
  close(): Promise<void>;
}

export async function startEventServices(): Promise<EventServices> {
  const calls: ServiceCall[] = [];
  const faults: EventServices['faults'] = new Map();
  const silent = new Set<string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.').at(-1)!;
      const input = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      if (silent.has(operation)) return;
      const given = faults.get(operation);
      const fault = typeof given === 'function' ? given() : given;
      const type = String(request.headers['content-type']);
      const answer = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': 'test' });
        response.end(JSON.stringify(body));
      };
      if (fault && !fault.entry) {
        answer(fault.status ?? 400, { __type: fault.code, message: `${fault.code} of the test` });
        return;
      }
      calls.push({ operation, input });
      const failed = (place: number) => fault?.entry?.(place) === true;
      answer(200, answerOf(operation, input, failed, fault?.code));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    faults,
    silent,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function answerOf(
  operation: string,
  input: ServiceCall['input'],
  failed: (place: number) => boolean,
  ErrorCode: string | undefined,
): object {
  const results = (entries: unknown[], done: object): object[] =>
    entries.map((_, place) => (failed(place) ? { ErrorCode, ErrorMessage: 'of the test' } : done));
  if (operation === 'PutEvents') {
    const Entries = results(input.Entries, { EventId: 'e' });
    return { FailedEntryCount: Entries.filter((one) => 'ErrorCode' in one).length, Entries };
  }
  if (operation === 'PutRecordBatch') {
    const RequestResponses = results(input.Records, { RecordId: 'r' });
    return { FailedPutCount: RequestResponses.filter((one) => 'ErrorCode' in one).length, RequestResponses };
  }
  return {};
}
