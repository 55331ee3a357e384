/** Sends one datagram to the local syslog socket; false when nobody takes it. Never blocks. */
export type SyslogSend = (datagram: Buffer) => boolean;

const socketPath = "/dev/log";
const family = { unix: 1, datagram: 2, nonBlocking: 0o4000, closeOnExec: 0o2000000 };
const dontWait = 0x40;
const noSignal = 0x4000;

/**
 * The way to /dev/log. It is a Unix datagram socket, which Node cannot speak, so
 * two calls of the C library are made through koffi. Undefined where koffi is
 * not installed or the platform is not known to it.
 */
export async function openSyslog(): Promise<SyslogSend | undefined> {
  try {
    const { default: koffi } = await import("koffi");
    const libc = koffi.load("libc.so.6");
    koffi.struct("postern_sockaddr_un", { family: "uint16_t", path: koffi.array("char", 108) });
    const socket = libc.func("int socket(int, int, int)");
    const sendto = libc.func("long sendto(int, const void*, size_t, int, const postern_sockaddr_un*, uint32_t)");
    const fd: number = socket(family.unix, family.datagram | family.nonBlocking | family.closeOnExec, 0);
    if (fd < 0) return undefined;
    const address = { family: family.unix, path: socketPath };
    return (datagram) => sendto(fd, datagram, datagram.length, dontWait | noSignal, address, 110) >= 0;
  } catch {
    return undefined;
  }
}
