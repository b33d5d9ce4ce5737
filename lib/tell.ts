/**
 * Calls a listener of the program. What it throws is the process's, as of a timer: it is not the connection's fault, and must
 * not unwind through C.
 *
 * @param listener Whom to tell; nobody is fine.
 * @param news What it is told.
 */
export function tell<T extends unknown[]>(listener: ((...news: T) => void) | undefined, ...news: T): void {
  try {
    listener?.(...news);
  } catch (error) {
    reportError(error);
  }
}
