package figures

import (
	"errors"
	"strings"
	"testing"
)

func TestFailures(t *testing.T) {
	t.Parallel()
	err := ran().Failures()
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "respond, round 2: ") {
		t.Errorf("Failures() = %v", err)
	}
	if err := (Outcomes{"a": {{}}}).Failures(); err != nil {
		t.Errorf("Failures() = %v", err)
	}
}
