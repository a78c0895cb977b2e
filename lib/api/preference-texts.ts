/** The texts of the pages on which readers choose what they get. To add a language, add its column. */

export interface PreferenceTexts {
  title: string;
  /** Before the address. */
  intro: string;
  topics: string;
  /** Beside the box that leaves the whole list. */
  all: string;
  save: string;
  unsubscribe: string;
  /** Question of the plain page: `{address}`, `{from}`. */
  ask: string;
  /** In place of `{from}` where a message is of no list. */
  thisMail: string;
  saved: string;
  /** `{address}`. */
  unsubscribed: string;
  failed: string;
}

const TEXTS: Readonly<Record<string, PreferenceTexts>> = {
  en: {
    title: 'Your subscriptions',
    intro: 'What would you like to receive at',
    topics: 'Topics',
    all: 'Unsubscribe me from everything on this list',
    save: 'Save',
    unsubscribe: 'Unsubscribe',
    ask: 'Unsubscribe {address} from {from}?',
    thisMail: 'this mail',
    saved: 'Your choices are saved. Mail that is under way may still reach you.',
    unsubscribed: '{address} is unsubscribed.',
    failed: 'Your request could not be stored. Please try again in a minute.',
  },
  de: {
    title: 'Ihre Abonnements',
    intro: 'Was möchten Sie erhalten unter',
    topics: 'Themen',
    all: 'Von allem auf dieser Liste abmelden',
    save: 'Speichern',
    unsubscribe: 'Abmelden',
    ask: '{address} von {from} abmelden?',
    thisMail: 'dieser E-Mail',
    saved: 'Ihre Auswahl ist gespeichert. Was schon unterwegs ist, kann Sie noch erreichen.',
    unsubscribed: '{address} ist abgemeldet.',
    failed: 'Ihre Anfrage konnte nicht gespeichert werden. Bitte versuchen Sie es in einer Minute erneut.',
  },
  fr: {
    title: 'Vos abonnements',
    intro: 'Que souhaitez-vous recevoir à',
    topics: 'Thèmes',
    all: 'Me désabonner de toute cette liste',
    save: 'Enregistrer',
    unsubscribe: 'Se désabonner',
    ask: 'Désabonner {address} de {from} ?',
    thisMail: 'ce courrier',
    saved: 'Vos choix sont enregistrés. Le courrier déjà en route peut encore vous parvenir.',
    unsubscribed: '{address} est désabonné.',
    failed: "Votre demande n'a pas pu être enregistrée. Veuillez réessayer dans une minute.",
  },
  es: {
    title: 'Sus suscripciones',
    intro: '¿Qué desea recibir en',
    topics: 'Temas',
    all: 'Darme de baja de toda esta lista',
    save: 'Guardar',
    unsubscribe: 'Darse de baja',
    ask: '¿Dar de baja {address} de {from}?',
    thisMail: 'este correo',
    saved: 'Sus preferencias están guardadas. El correo que ya está en camino aún puede llegarle.',
    unsubscribed: '{address} está dado de baja.',
    failed: 'No se pudo guardar su solicitud. Inténtelo de nuevo en un minuto.',
  },
};

/** The texts of the first language of `Accept-Language` (RFC 9110 §12.5.4) that there is; else English. */
export function textsFor(accepted: string | undefined): { language: string; texts: PreferenceTexts } {
  const wanted = (accepted ?? '')
    .slice(0, 500)
    .split(',')
    .map((range) => {
      const [tag = '', ...parameters] = range.split(';').map((part) => part.trim());
      const q = parameters.find((one) => one.startsWith('q='));
      return {
        language: tag.toLowerCase().split('-', 1)[0]!,
        weight: q === undefined ? 1 : Number(q.slice(2)),
      };
    })
    .filter(({ language, weight }) => weight > 0 && Object.hasOwn(TEXTS, language))
    .sort((a, b) => b.weight - a.weight);
  const language = wanted[0]?.language ?? 'en';
  return { language, texts: TEXTS[language]! };
}
