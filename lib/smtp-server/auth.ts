/** The exchanges of AUTH (RFC 4954): PLAIN (RFC 4616) and LOGIN, which has no standard and many clients. */

export const MECHANISMS = ['PLAIN', 'LOGIN'];

/** What follows a line of an exchange: a question, a refusal with its code, or what the client logs in with. */
export type AuthStep =
  | { challenge: string; next: (line: string) => AuthStep }
  | { refusal: string }
  | { username: string; password: string };

const ABORTED: AuthStep = { refusal: '501 5.7.0 Authentication aborted' };
const MALFORMED: AuthStep = { refusal: '501 5.5.2 The credentials are not valid base64 of their parts' };
/** Would end up in the log, and could split its lines. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;
/** As clients expect these questions: "Username:" and "Password:" in base64. */
const USERNAME = 'VXNlcm5hbWU6';
const PASSWORD = 'UGFzc3dvcmQ6';

/** Begins an exchange. @param argument what follows `AUTH`. */
export function beginAuth(argument: string): AuthStep {
  const [mechanism = '', initial, ...more] = argument.trim().split(/\s+/);
  if (more.length > 0) return { refusal: '501 5.5.4 Syntax: AUTH mechanism [initial-response]' };
  switch (mechanism.toUpperCase()) {
    case 'PLAIN':
      return initial === undefined ? { challenge: '', next: orAborted(readPlain) } : readPlain(initial);
    case 'LOGIN':
      return initial === undefined
        ? { challenge: USERNAME, next: orAborted(readUsername) }
        : readUsername(initial);
    default:
      return { refusal: `504 5.5.4 Unrecognized authentication type; use ${MECHANISMS.join(' or ')}` };
  }
}

function orAborted(read: (text: string) => AuthStep): (line: string) => AuthStep {
  return (line) => (line.trim() === '*' ? ABORTED : read(line.trim()));
}

function readPlain(text: string): AuthStep {
  const parts = decode(text).split('\0');
  const [identity = '', name = '', password = ''] = parts;
  // Many clients put the name in the place of the identity to act for.
  const username = name || identity;
  if (parts.length !== 3 || CONTROLS.test(identity) || CONTROLS.test(username)) return MALFORMED;
  return { username, password };
}

function readUsername(text: string): AuthStep {
  const username = decode(text);
  if (username === '' || CONTROLS.test(username)) return MALFORMED;
  return { challenge: PASSWORD, next: orAborted((line) => ({ username, password: decode(line) })) };
}

function decode(text: string): string {
  return Buffer.from(text, 'base64').toString();
}
