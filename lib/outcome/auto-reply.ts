/** Recognises automatic replies (RFC 3834), and the older marks of vacation programs. */

const SUBJECTS = [
  /^auto(?:matic)?[ -]?(?:reply|response)/i,
  /^out of (?:the )?office/i,
  /^réponse automatique/i,
  /^automatische (?:antwort|afmelding)/i,
  /^automatisch antwoord/i,
  /^abwesenheit/i,
  /^respuesta automática/i,
  /^resposta automática/i,
  /^risposta automatica/i,
  /^autosvar/i,
  /^automatyczna odpowiedź/i,
  /^автоответ|^автоматический ответ/i,
  /^自动回复|^自動回覆|^自動応答|^不在/,
];

/** @param header the first field of a name in the message's own header. */
export function isAutoReply(header: (name: string) => string | undefined): boolean {
  const submitted = header('auto-submitted')?.trim().toLowerCase();
  if (submitted !== undefined && submitted !== 'no') return true;
  if (header('x-autoreply') ?? header('x-autorespond') ?? header('x-vacation')) return true;
  if (/^(?:auto_reply|bulk|junk)/i.test(header('precedence') ?? '')) return true;
  const subject = header('subject')?.trim() ?? '';
  return SUBJECTS.some((pattern) => pattern.test(subject));
}
