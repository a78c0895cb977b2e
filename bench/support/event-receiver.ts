/** A process that receives events for benchmarks: a webhook, and SNS's PublishBatch by its wire protocol. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const counts = { hook: 0, sns: 0 };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url === '/hook') {
      counts.hook += 1;
      response.end();
      return;
    }
    const ids = [
      ...Buffer.concat(chunks)
        .toString()
        .matchAll(/member\.\d+\.Id=(\d+)/g),
    ].map(([, id]) => id);
    counts.sns += ids.length;
    const members = ids.map((id) => `<member><Id>${id}</Id><MessageId>m</MessageId></member>`).join('');
    response.setHeader('content-type', 'text/xml');
    response.end(
      '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>' +
        `<Successful>${members}</Successful><Failed/></PublishBatchResult></PublishBatchResponse>`,
    );
  });
});
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }));
process.on('message', () => process.send!(counts));
process.on('disconnect', () => process.exit());
