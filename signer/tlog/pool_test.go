// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"testing"
)

// Who has left the pool is not held by it: after a crowd, that would be all of
// its bodies until as large a crowd comes again.
func TestPoolForgets(t *testing.T) {
	p := newPool(10, 1<<20)
	var all []*waiter
	for i := range 6 {
		w := newWaiter(fmt.Appendf(nil, "leaf %d", i), nil)
		if err := p.add(w); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	if !p.remove(all[1]) || p.remove(all[1]) {
		t.Error("who waits is removed once")
	}
	batch, _ := p.takeNow(3)
	for i, want := range []*waiter{all[0], all[2], all[3]} {
		if batch[i] != want {
			t.Errorf("place %d of the batch is another's", i)
		}
	}
	held := p.waiting[:6]
	if held[0] != all[4] || held[1] != all[5] || p.bytes != all[4].size+all[5].size {
		t.Errorf("who waits still is not there, or counted wrong: %d bytes", p.bytes)
	}
	for i, w := range held[2:] {
		if w != nil {
			t.Errorf("place %d still holds %q", 2+i, w.body)
		}
	}
}
