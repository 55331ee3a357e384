/** Sends one datagram to the local syslog socket; false when nobody takes it. Never blocks. */
export type SyslogSend = (datagram: Buffer) => boolean;

export interface Syslog {
  readonly send: SyslogSend;
  /** Does a daemon listen there now? */
  heard(): boolean;
}

const socketPath = "/dev/log";
const family = { unix: 1, datagram: 2, nonBlocking: 0o4000, closeOnExec: 0o2000000 };
const addressSize_bytes = 110;
const dontWait = 0x40;
const noSignal = 0x4000;

/** Types have names that koffi knows once a process. */
let opened: Promise<Syslog | undefined> | undefined;

/**
 * The way to /dev/log. It is a Unix datagram socket, which Node cannot speak, so
 * a few calls of the C library are made through koffi. Undefined where koffi is
 * not installed or the platform is not known to it.
 */
export function openSyslog(): Promise<Syslog | undefined> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Syslog | undefined> {
  try {
    const { default: koffi } = await import("koffi");
    const libc = koffi.load("libc.so.6");
    koffi.struct("postern_sockaddr_un", { family: "uint16_t", path: koffi.array("char", 108) });
    const socket = libc.func("int socket(int, int, int)");
    const connect = libc.func("int connect(int, const postern_sockaddr_un*, uint32_t)");
    const close = libc.func("int close(int)");
    const sendto = libc.func("long sendto(int, const void*, size_t, int, const postern_sockaddr_un*, uint32_t)");
    const kind = family.datagram | family.nonBlocking | family.closeOnExec;
    const fd: number = socket(family.unix, kind, 0);
    if (fd < 0) return undefined;
    const address = { family: family.unix, path: socketPath };
    return {
      send: (datagram) => sendto(fd, datagram, datagram.length, dontWait | noSignal, address, addressSize_bytes) >= 0,
      heard() {
        const probe: number = socket(family.unix, kind, 0);
        if (probe < 0) return false;
        const answer: number = connect(probe, address, addressSize_bytes);
        close(probe);
        return answer === 0;
      },
    };
  } catch {
    return undefined;
  }
}
