// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A pipeline that runs in circles, or one whose token was stolen, must not take
// the service away from the others. So each identity source and each project
// has a bucket of requests, which is filled at a rate; a request that finds it
// empty is refused before anything is read for it.
//
// Buckets belong to a process, not to the deployment. A count that replicas
// share would be a write to the database for every request, the refused ones
// above all, which is what somebody who sends too many would then take away
// from the others. What must be exact, how often a token is used, is counted in
// the database (replay.go); this need only be bounded, and is: by the rate times
// the number of replicas, or by the rate if each is told how many share it.

const (
	// maxProjects bounds how many projects' buckets are kept. Who is forgotten
	// begins with a full bucket, so that a source with more projects than this
	// is bounded by its own.
	maxProjects = 4096
	// recordEvery is how often the refusals of one project are recorded: the
	// first, then one row a minute with the count of the others.
	recordEvery = time.Minute
)

// Quota is the rate and the size of a bucket of requests. The zero value is no
// limit.
type Quota struct {
	// PerSecond is how many requests are served in the long run.
	PerSecond float64
	// Burst is how many are served at once after a pause.
	Burst int
}

// Quotas says how many requests a process serves of each identity source and of
// each project of a source. Every request with a valid token counts, whatever
// becomes of it, if some rule of the policy speaks of who has it.
type Quotas struct {
	// Identities are the quotas of identity sources, by name, for all their
	// projects together; Identity is that of the others.
	Identities map[string]Quota
	Identity   Quota
	// Projects are the quotas of each project of an identity source, by the
	// name of the source; Project is that of projects of other sources.
	Projects map[string]Quota
	Project  Quota
	// Stranger is the quota of each project of which no rule speaks. They take
	// nothing from the quotas above.
	Stranger Quota
}

// OverQuota says that an identity source or a project has asked for more than
// its quota. RetryAfter is when the request would be served.
type OverQuota struct {
	Of         string
	RetryAfter time.Duration
}

// Error implements error.
func (e *OverQuota) Error() string {
	return fmt.Sprintf("too many requests: the quota of %s is used up, come again in %d s", e.Of, e.Seconds())
}

// Seconds is RetryAfter as HTTP has it: whole seconds, at least one.
func (e *OverQuota) Seconds() int { return max(1, int(math.Ceil(e.RetryAfter.Seconds()))) }

// buckets are those of a process.
type buckets struct {
	quotas Quotas

	mu         sync.Mutex // guards what follows
	identities map[string]*rate.Limiter
	projects   map[string]*project
	recent     *list.List // of *project, the latest first
	lost       int        // refusals of forgotten projects that no row tells of
}

// project is the bucket of a project, and what was refused to it.
type project struct {
	key        string
	place      *list.Element // in recent
	bucket     *rate.Limiter
	recorded   time.Time
	unrecorded int // since then
}

func newBuckets(q Quotas) *buckets {
	return &buckets{quotas: q, identities: map[string]*rate.Limiter{}, projects: map[string]*project{}, recent: list.New()}
}

// take takes a request out of the buckets of a principal. If one is empty it
// returns the refusal, whether that is to be recorded, and how many before it
// were not.
func (b *buckets) take(p Principal, now time.Time) (over *OverQuota, record bool, unrecorded int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	project := b.project(p)
	// The project's first: what it is refused does not count for its source.
	ofProject, wait := reserve(project.bucket, now)
	if wait > 0 {
		over = &OverQuota{Of: fmt.Sprintf("project %s of %s", clip(Project(p)), p.Identity), RetryAfter: wait}
	} else if _, wait := reserve(b.identity(p.Identity), now); wait > 0 {
		ofProject.CancelAt(now)
		over = &OverQuota{Of: "identity source " + p.Identity, RetryAfter: wait}
	}
	if over == nil {
		return nil, false, 0
	}
	if !project.recorded.IsZero() && now.Sub(project.recorded) < recordEvery {
		project.unrecorded++
		return over, false, 0
	}
	unrecorded = project.unrecorded + b.lost
	project.recorded, project.unrecorded, b.lost = now, 0, 0
	return over, true, unrecorded
}

// giveBack takes back a count that could not be recorded, and the one that it
// would have been recorded with.
func (b *buckets) giveBack(unrecorded int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost += unrecorded + 1
}

// reserve takes one out of a bucket, or returns how long until there is one.
func reserve(bucket *rate.Limiter, now time.Time) (*rate.Reservation, time.Duration) {
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return r, wait
}

// identity returns the bucket of an identity source; there are as many as are
// configured.
func (b *buckets) identity(name string) *rate.Limiter {
	bucket := b.identities[name]
	if bucket == nil {
		bucket = newBucket(b.quotas.Identities, b.quotas.Identity, name)
		b.identities[name] = bucket
	}
	return bucket
}

// project returns a project's bucket and forgets the one that was used longest
// ago if there are too many.
func (b *buckets) project(p Principal) *project {
	key := tenantOf(p)
	if known := b.projects[key]; known != nil {
		b.recent.MoveToFront(known.place)
		return known
	}
	made := &project{key: key, bucket: newBucket(b.quotas.Projects, b.quotas.Project, p.Identity)}
	made.place = b.recent.PushFront(made)
	b.projects[key] = made
	if b.recent.Len() > maxProjects {
		if old, ok := b.recent.Remove(b.recent.Back()).(*project); ok { // there is nothing else in it
			delete(b.projects, old.key)
			b.lost += old.unrecorded
		}
	}
	return made
}

func newBucket(by map[string]Quota, other Quota, name string) *rate.Limiter {
	q, ok := by[name]
	if !ok {
		q = other
	}
	if q == (Quota{}) {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(q.PerSecond), q.Burst)
}

// refuseQuota records a refusal for too many requests, if it is its turn.
func (s *Service) refuseQuota(ctx context.Context, ev AuditEvent, over *OverQuota, record bool, unrecorded int) error {
	if !record {
		return over
	}
	ev.Decision, ev.Stage, ev.Reasons, ev.Unrecorded = DecisionRefused, stageQuota, []string{over.Error()}, unrecorded
	if err := s.cfg.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		s.buckets.giveBack(unrecorded)
		return fmt.Errorf("record refusal: %w", err)
	}
	return over
}
