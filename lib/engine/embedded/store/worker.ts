/** The storage thread: SQL and syncing happen here and never hold up the event loop. */
import { parentPort, workerData } from 'node:worker_threads';
import { storageFault } from '../faults.ts';
import type { Batch, Greeting, StoreOptions } from '../protocol.ts';
import { Store } from './store.ts';

const options = workerData as StoreOptions;
const port = parentPort!;

try {
  const store = new Store(options);
  port.on('message', (batch: Batch | 'close') => {
    if (batch === 'close') {
      store.close();
      port.close();
      return;
    }
    const answer = store.run(batch);
    port.postMessage(answer, answer.bytes ? [answer.bytes] : []);
    store.tidy();
  });
  port.postMessage({ opened: store.opened } satisfies Greeting);
} catch (error) {
  const { code, message } = storageFault(error, options.directory);
  port.postMessage({ fault: { code, message } } satisfies Greeting);
}
