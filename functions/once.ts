/** Lambda waits ten seconds for the import of a function; this part of it is left to the opening, ms. */
const INIT = 8_000;

/**
 * Opens something at its first use and keeps it while the process lives. On Lambda the import waits for it, because
 * that phase has a whole CPU and no caller waits. When opening fails there, or takes longer, the first call retries
 * or awaits it.
 */
export async function once<T>(open: () => Promise<T>): Promise<() => Promise<T>> {
  let opening: Promise<T> | undefined;
  const opened = (): Promise<T> => {
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  if (process.env.AWS_LAMBDA_FUNCTION_NAME) {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, INIT);
    await Promise.race([opened().catch(() => {}), late]);
    clearTimeout(timer);
  }
  return opened;
}
