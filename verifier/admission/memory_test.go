// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// largeRegistry has an image with bundles of a given size, and counts who has been let in to fetch them.
type largeRegistry struct {
	size    int
	fetches *atomic.Int64
	gate    chan struct{} // nil: open
}

func (r largeRegistry) Resolve(context.Context, string) (oci.Artifact, error) {
	return oci.Artifact{Registry: "reg.example", Repository: "app", Digest: attest.Digest(digest(1))}, nil
}

func (r largeRegistry) Bundles(ctx context.Context, _ oci.Artifact) ([]oci.StoredBundle, error) {
	r.fetches.Add(1)
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return []oci.StoredBundle{{Bytes: make([]byte, r.size)}}, nil
}

var errVerified = errors.New("verified, as far as this test goes")

// TestMemoryIsShared: as many images are fetched or held at a time as there is memory for, the others wait; what an image does not
// need, others get at once; and everything is given back, whatever the outcome.
func TestMemoryIsShared(t *testing.T) {
	const images, largest = 64, maxBytesInTotal / MaxImageBytes
	image := policy.Image{Registry: "reg.example", Repository: "app", Digest: digest(1)}
	for name, test := range map[string]struct {
		size               int
		fetching, verified int64 // at a time, while fetches and while verifications are held up
	}{
		"largest": {MaxImageBytes, largest, largest},
		"tiny":    {1, largest, images},
		// Three quarters are held and one quarter each is given back, which is room for one more.
		"large": {MaxImageBytes * 3 / 4, largest, largest + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fetches, verifications, done atomic.Int64
				fetchGate, verifyGate := make(chan struct{}), make(chan struct{})
				d, err := NewDecider(largeRegistry{test.size, &fetches, fetchGate}, func(*policy.TrustPolicy) (*verifier.Verifier, error) {
					verifications.Add(1)
					<-verifyGate
					return nil, errVerified
				})
				if err != nil {
					t.Fatal(err)
				}
				for range images {
					go func() {
						if _, err := d.Decide(t.Context(), image, []*policy.TrustPolicy{nil}); !errors.Is(err, errVerified) {
							t.Errorf("error %v", err)
						}
						done.Add(1)
					}()
				}
				synctest.Wait()
				if n := fetches.Load(); n != test.fetching {
					t.Errorf("%d images are fetched at a time, want %d", n, test.fetching)
				}
				close(fetchGate)
				synctest.Wait()
				if n := verifications.Load(); n != test.verified {
					t.Errorf("%d images are held at a time, want %d", n, test.verified)
				}
				close(verifyGate)
				synctest.Wait()
				if n := done.Load(); n != images {
					t.Errorf("%d of %d images were judged", n, images)
				}
				if !d.memory.TryAcquire(maxBytesInTotal) {
					t.Error("not all memory was given back")
				}
			})
		})
	}
}

// TestMemoryInTime: whoever gets no memory in time has no decision, which denies.
func TestMemoryInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		d, err := NewDecider(largeRegistry{1, &fetches, nil}, func(*policy.TrustPolicy) (*verifier.Verifier, error) { return nil, errVerified })
		if err != nil {
			t.Fatal(err)
		}
		if !d.memory.TryAcquire(maxBytesInTotal) {
			t.Fatal("memory is taken from the start")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := d.Decide(ctx, policy.Image{Registry: "reg.example", Repository: "app", Digest: digest(1)}, []*policy.TrustPolicy{nil})
		if got != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not looked at in time") || fetches.Load() != 0 {
			t.Errorf("got %v, error %v after %d fetches", got, err, fetches.Load())
		}
	})
}

// TestMemoryRefusesMore: an image with more than its share is not judged, and what was taken for it is given back.
func TestMemoryRefusesMore(t *testing.T) {
	var fetches atomic.Int64
	d, err := NewDecider(largeRegistry{MaxImageBytes + 1, &fetches, nil}, func(*policy.TrustPolicy) (*verifier.Verifier, error) { return nil, errVerified })
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Decide(t.Context(), policy.Image{Registry: "reg.example", Repository: "app", Digest: digest(1)}, []*policy.TrustPolicy{nil})
	if got != nil || !errors.Is(err, verifier.ErrTooMuchEvidence) {
		t.Errorf("got %v, error %v", got, err)
	}
	if !d.memory.TryAcquire(maxBytesInTotal) {
		t.Error("not all memory was given back")
	}
}
