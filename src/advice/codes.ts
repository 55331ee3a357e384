import type { Act, Explanation } from "./explanation.ts";

/**
 * What is left to say where only the code tells: by the last two parts of the enhanced status code (RFC 3463 and its
 * registry), then by the reply code (RFC 5321 section 4.2.3), then by its class.
 */

const say = (code: string, act: Act, meaning: string, remedy: string): Explanation => ({ code, act, meaning, remedy });

const askTheirs = "Read the server's words. If they do not help, ask whoever runs it, with the time and this text.";

export const byStatus: Readonly<Record<string, Explanation>> = {
  "1.2": say("bad-domain", "recipient", "The server does not know the domain of the address.", "Correct the address."),
  "1.3": say(
    "bad-syntax",
    "recipient",
    "The server finds that the address is not written as addresses are.",
    "Correct the address.",
  ),
  "1.6": say("moved", "recipient", "The recipient has moved to another address.", "Write to the new address."),
  "1.7": say(
    "bad-sender",
    "here",
    "The server does not like the form of the sender's address.",
    "Send under a full address: see myorigin.",
  ),
  "2.0": say("mailbox-trouble", "recipient", "Something is wrong with the recipient's mailbox.", askTheirs),
  "2.4": say("list-trouble", "recipient", "The address is a mailing list's, and the list did not take it.", askTheirs),
  "4.1": say(
    "no-answer",
    "wait",
    "The next server behind that one does not answer.",
    "Nothing here: it is tried again.",
  ),
  "4.2": say("broken-connection", "wait", "A connection broke off.", "Nothing here: it is tried again."),
  "4.4": say("no-route", "recipient", "The server does not know where mail for the address has to go.", askTheirs),
  "4.7": say(
    "took-too-long",
    "recipient",
    "The message could not be delivered for so long that it was given up.",
    askTheirs,
  ),
  "5.0": say("protocol", "here", "The server did not understand us.", askTheirs),
  "5.1": say(
    "wrong-command",
    "here",
    "The server does not take that command here: mostly since it wants a login or TLS first.",
    "See postern check --show-dialogue.",
  ),
  "5.3": say(
    "too-many-recipients",
    "here",
    "There were more recipients than the server takes at a time.",
    "Set default_destination_recipient_limit lower.",
  ),
  "6.0": say("content", "sender", "The server does not like something in the message itself.", askTheirs),
  "7.0": say("security", "account", "The server refuses it for reasons of security that it does not tell.", askTheirs),
  "7.1": say("not-authorized", "account", "The server's rules do not let this message through.", askTheirs),
  "7.8": say(
    "login-refused",
    "account",
    "The server does not take our user name and password.",
    "Correct them in the table of smtp_sasl_password_maps, and run postmap.",
  ),
  "7.9": say(
    "weak-login",
    "account",
    "The server wants a stronger kind of login for this account.",
    "Use an application password, if the provider has such, or another mechanism.",
  ),
  "7.10": say("needs-encryption", "here", "The server wants encryption.", "Set smtp_tls_security_level = encrypt."),
  "7.11": say(
    "needs-encryption",
    "here",
    "The server wants encryption for this kind of login.",
    "Set smtp_tls_security_level = encrypt.",
  ),
};

export const byReply: Readonly<Record<string, Explanation>> = {
  "421": say(
    "not-now",
    "wait",
    "The server takes no mail from us at the moment.",
    "Nothing here: it is tried again. If it goes on, send less at a time.",
  ),
  "450": say(
    "mailbox-busy",
    "wait",
    "The server does not take mail for this address at the moment.",
    "Nothing here: it is tried again.",
  ),
  "451": say("their-trouble", "wait", "Something went wrong at the server.", "Nothing here: it is tried again."),
  "452": say(
    "server-full",
    "wait",
    "The server has too little room, or takes no more recipients at a time.",
    "Nothing here: it is tried again.",
  ),
  "454": say(
    "not-now",
    "wait",
    "The server cannot do what we asked for at the moment.",
    "Nothing here: it is tried again.",
  ),
  "550": say("refused", "recipient", "The server does not take mail for this address, or from us.", askTheirs),
  "551": say("not-local", "recipient", "The address is not one of the server's.", "Correct the address."),
  "552": say(
    "too-much",
    "recipient",
    "The message is too large, or the mailbox is full.",
    "Send less, or ask the recipient to make room.",
  ),
  "553": say(
    "bad-address",
    "recipient",
    "The server does not like an address, the sender's or the recipient's.",
    askTheirs,
  ),
  "554": say("refused", "recipient", "The server does not take the message.", askTheirs),
};

export const byClass: Readonly<Record<string, Explanation>> = {
  "4": say(
    "put-off",
    "wait",
    "The server does not take the message now, and may later.",
    "Nothing here: it is tried again.",
  ),
  "5": say("refused", "recipient", "The server does not take the message, and will not.", askTheirs),
};
