package crash

import (
	"testing"
)

func TestActivitiesAreComplete(t *testing.T) {
	t.Parallel()
	small, large := 0, 0
	for _, m := range activities {
		small, large = small+m.small, large+m.large
	}
	if small != 20 || large != 500 {
		t.Errorf("%d kills at small size and %d at large, want 20 and 500", small, large)
	}
}
