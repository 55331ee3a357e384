"""A command on a pseudo-terminal, driven by lines of JSON.

usage: pseudo-terminal.py ROWS COLUMNS COMMAND [ARGUMENT ...]

Reads orders on standard input: {"keys": "..."} types, {"resize": [rows, columns]}, {"signal": number}. Writes events on standard output:
{"bytes": base64} that the command wrote; at last {"status": number, "same": whether the terminal's settings are as they were}.
"""
import base64, fcntl, json, os, pty, select, struct, sys, termios


def resize(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def tell(event):
    os.write(1, (json.dumps(event) + "\n").encode())


def main():
    rows, columns, *command = sys.argv[1:]
    master, slave = pty.openpty()
    resize(slave, int(rows), int(columns))
    before = termios.tcgetattr(slave)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(slave, descriptor)
        os.closerange(3, 64)
        os.execvp(command[0], command)
    orders = b""
    open_input = True
    while True:
        ready, _, _ = select.select([master] + ([0] if open_input else []), [], [], 0.05)
        if master in ready:
            tell({"bytes": base64.b64encode(os.read(master, 65536)).decode()})
        if 0 in ready:
            read = os.read(0, 65536)
            open_input = read != b""
            *lines, orders = (orders + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if "keys" in order:
                    os.write(master, order["keys"].encode())
                elif "resize" in order:
                    resize(master, *order["resize"])
                else:
                    os.kill(child, order["signal"])
        if master not in ready:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                # What it wrote last, between the look at the terminal and its end.
                while select.select([master], [], [], 0)[0]:
                    tell({"bytes": base64.b64encode(os.read(master, 65536)).decode()})
                code = os.waitstatus_to_exitcode(status)
                tell({"status": code, "same": termios.tcgetattr(slave) == before})
                return


main()
