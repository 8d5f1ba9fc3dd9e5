package scenario

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Command runs a command of the system, such as mount.
func Command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		// The first line of the output is enough; the second line of mount points to a log.
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%s: %w: %s", name, err, line)
	}
	return nil
}
