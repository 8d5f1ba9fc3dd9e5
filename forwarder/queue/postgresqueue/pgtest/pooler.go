package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Pooler is a pgbouncer in front of a server, in transaction mode.
type Pooler struct {
	cmd *exec.Cmd
	dsn string
}

// Pooler starts a pooler.
func (s *Server) Pooler() (*Pooler, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		return nil, errors.New("pgbouncer is not installed; install it with: apt-get install -y pgbouncer")
	}
	port := s.Port + 100
	ini, users := filepath.Join(s.Dir, "pgbouncer.ini"), filepath.Join(s.Dir, "users")
	// With auth_type any, the user of the server is in the line of the database.
	text := fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]d user=%[1]s
[pgbouncer]
listen_addr =
unix_socket_dir = %[2]s
listen_port = %[4]d
auth_type = any
auth_file = %[5]s
pool_mode = transaction
default_pool_size = 5
`, Role, s.Dir, s.Port, port, users)
	for file, content := range map[string]string{ini: text, users: ""} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil { //nolint:gosec // another user reads it, and it has no secret
			return nil, err
		}
	}
	p := &Pooler{cmd: s.command(path, "-q", ini), dsn: fmt.Sprintf("host=%s port=%d user=%s dbname=%[3]s default_query_exec_mode=exec", s.Dir, port, Role)}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		c, err := pgx.Connect(ctx, p.dsn)
		if err == nil {
			err = c.Ping(ctx)
			_ = c.Close(ctx)
		}
		cancel()
		if err == nil {
			return p, nil
		}
		if time.Now().After(end) {
			p.Stop()
			return nil, fmt.Errorf("pgbouncer does not answer: %w", err)
		}
	}
}

// DSN returns the DSN of the tests' role through the pooler.
func (p *Pooler) DSN() string { return p.dsn }

// Stop ends the pooler.
func (p *Pooler) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}
