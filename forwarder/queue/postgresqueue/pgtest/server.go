package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Role is the role of the tests. It may connect and create schemas, and nothing else.
const Role = "scribegate"

// Options are the settings of a server.
type Options struct {
	TCP      bool     // whether it listens on loopback too
	Durable  bool     // whether it waits for the disk
	Parent   string   // the directory for its own; default: the system's for temporary files
	Settings []string // of its configuration, such as "max_connections = 20"
	Port     int      // with TCP; default: a free one
}

// A Server is a running server.
type Server struct {
	Version string // such as 15.4
	Dir     string // with its data and its socket
	Port    int

	bin      string
	options  Options
	prepared bool // whether the role has its database
	copied   bool // whether it is a standby in the directory of another
	cmd      *exec.Cmd
	ended    chan error
}

// Run runs the tests of a package with a server, and returns the exit status.
func Run(m *testing.M, o Options, use func(*Server)) int {
	s, err := Start(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Stop()
	use(s)
	return m.Run()
}

// errMissing means that there is no PostgreSQL.
var errMissing = errors.New("PostgreSQL is not installed; install it with: apt-get install -y postgresql")

// findBin returns the directory of the server's commands, those of the newest version.
func findBin() (string, error) {
	if dir := os.Getenv("POSTGRES_BIN"); dir != "" {
		return dir, nil
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	return "", errMissing
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// Start starts a server with an empty database that belongs to nobody's role.
func Start(o Options) (s *Server, err error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Parent, "pg")
	if err != nil {
		return nil, err
	}
	s = &Server{Dir: dir, bin: bin, options: o, Port: 5432}
	defer func(started *Server) {
		if err != nil {
			started.Stop()
		}
	}(s)
	switch {
	case o.TCP && o.Port > 0:
		s.Port = o.Port
	case o.TCP:
		if s.Port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := s.own(dir); err != nil {
		return nil, err
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s; the user of the server must be able to read %s", err, out, bin)
	}
	out, err = s.command("postgres", "--version").Output()
	if err != nil {
		return nil, err
	}
	s.Version, _, _ = strings.Cut(strings.TrimPrefix(string(out), "postgres (PostgreSQL) "), " ")
	if err := s.Launch(); err != nil {
		return nil, err
	}
	return s, s.prepare()
}

// prepare creates the role and its database.
func (s *Server) prepare() error {
	for _, text := range []string{
		`CREATE ROLE ` + Role + ` LOGIN PASSWORD 'the password of the tests'`,
		`CREATE DATABASE ` + Role,
		`REVOKE ALL ON DATABASE ` + Role + ` FROM PUBLIC`,
		`GRANT CONNECT, CREATE ON DATABASE ` + Role + ` TO ` + Role,
	} {
		if err := s.Exec(text); err != nil {
			return err
		}
	}
	s.prepared = true
	return nil
}

// Standby stops the server, copies it, and starts it again with the copy as its standby, on
// another port of the same socket directory. pg_basebackup is not used, since not every
// installation has it.
func (s *Server) Standby() (*Server, error) {
	standby := &Server{Version: s.Version, Dir: s.Dir, Port: s.Port + 1, bin: s.bin, options: s.options, prepared: true, copied: true}
	if err := s.Signal(syscall.SIGINT); err != nil {
		return nil, err
	}
	s.Wait()
	const script = `cp -a "$1" "$2" && touch "$2/standby.signal" && echo "primary_conninfo = '$3'" >> "$2/postgresql.auto.conf"`
	primary := fmt.Sprintf("host=%s port=%d user=postgres", s.Dir, s.Port)
	if out, err := s.command("/bin/sh", "-c", script, "sh", s.data(), standby.data(), primary).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copying the server: %w: %s", err, out)
	}
	if err := s.Launch(); err != nil {
		return nil, err
	}
	return standby, standby.Launch()
}

// Synchronize makes commits wait for the standby.
func (s *Server) Synchronize() error {
	if err := s.Exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`); err != nil {
		return err
	}
	return s.Exec(`SELECT pg_reload_conf()`)
}

// Promote makes a standby the primary.
func (s *Server) Promote() error {
	for _, text := range []string{`SELECT pg_promote()`, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`} {
		if err := s.Exec(text); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) data() string {
	if s.copied {
		return filepath.Join(s.Dir, "standby")
	}
	return filepath.Join(s.Dir, "data")
}

// command returns a command, of the server's unless name is a path, that runs as the user
// postgres if this process is root's.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.bin, name)
	}
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	if uid, gid, ok := unprivileged(); ok {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd
}

// Command returns one of PostgreSQL's commands, such as pgbench, to run as the user of the
// server.
func (s *Server) Command(name string, args ...string) *exec.Cmd { return s.command(name, args...) }

// PID returns the id of the server's first process, the parent of the others.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// unprivileged returns the user of the server if this process is root's: PostgreSQL refuses
// to run as root.
func unprivileged() (uid, gid uint32, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			id, _ := strconv.Atoi(u.Uid)
			group, _ := strconv.Atoi(u.Gid)
			return uint32(id), uint32(group), true
		}
	}
	return 0, 0, false
}

func (s *Server) own(dir string) error {
	if uid, gid, ok := unprivileged(); ok {
		return os.Chown(dir, int(uid), int(gid))
	}
	return nil
}

// Launch starts the process of the server, and waits until it answers.
func (s *Server) Launch() error {
	args := []string{"-D", s.data(), "-k", s.Dir, "-p", strconv.Itoa(s.Port), "-c", "max_connections=400", "-c", "log_min_messages=fatal", "-c", "password_encryption=scram-sha-256"}
	listen := ""
	if s.options.TCP {
		listen = "127.0.0.1"
	}
	args = append(args, "-c", "listen_addresses="+listen)
	if !s.options.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, setting := range s.options.Settings {
		name, value, _ := strings.Cut(setting, "=")
		args = append(args, "-c", strings.TrimSpace(name)+"="+strings.TrimSpace(value))
	}
	s.cmd = s.command("postgres", args...)
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := s.Exec(`SELECT 1`)
		if err == nil {
			return nil
		}
		select {
		case ended := <-s.ended:
			s.ended <- ended
			return fmt.Errorf("the server ended: %w: %s", ended, s.Log())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return string(text)
}

// Signal sends a signal to the server's process: SIGINT ends it at once and in order,
// SIGQUIT without order.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// Wait waits for the end of the server's process.
func (s *Server) Wait() { s.ended <- <-s.ended }

// Kill ends the server as a crash does.
func (s *Server) Kill() {
	_ = s.Signal(syscall.SIGQUIT)
	s.Wait()
}

// Stop ends the server, and deletes its data.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil && s.ended != nil {
		_ = s.Signal(syscall.SIGCONT)
		s.Kill()
	}
	if !s.copied {
		_ = os.RemoveAll(s.Dir)
	}
}

// DSN returns the DSN of the tests' role, through the socket.
func (s *Server) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%[3]s", s.Dir, s.Port, Role)
}

// AddressDSN returns the DSN of the tests' role on loopback.
func (s *Server) AddressDSN() string {
	return fmt.Sprintf("postgres://%s:the%%20password%%20of%%20the%%20tests@127.0.0.1:%d/%[1]s", Role, s.Port)
}

// Exec executes a statement as the superuser.
func (s *Server) Exec(text string, args ...any) error {
	return s.Query(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, text, args...)
		return err
	})
}

// Query calls f with a connection of the superuser.
func (s *Server) Query(f func(ctx context.Context, c *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db := "postgres"
	if s.prepared {
		db = Role
	}
	c, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", s.Dir, s.Port, db))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	return f(ctx, c)
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
