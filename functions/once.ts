/**
 * Opens something at its first use and keeps it while the process lives. On Lambda it begins with the import,
 * in the phase that has a whole CPU and is not waited for by a caller; a failure is tried again by the next call.
 */
export function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opening: Promise<T> | undefined;
  const opened = (): Promise<T> => {
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  // What goes wrong now is told to the first caller.
  if (process.env.AWS_LAMBDA_FUNCTION_NAME) opened().catch(() => {});
  return opened;
}
