package pgtest

import (
	"fmt"
	"os"
	"strconv"
)

// Follow makes a server that has ended a standby of another one, with a new copy of its data.
func (s *Server) Follow(primary *Server) error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	out, err := s.command("pg_basebackup", "-h", primary.Dir, "-p", strconv.Itoa(primary.Port), "-U", "postgres", "-D", s.data(), "-R", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return s.Launch()
}
