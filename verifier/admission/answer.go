// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/hallmark-dev/hallmark/policy"
)

// answer is what came of one inquiry. The zero value decides nothing.
type answer struct {
	decisions map[*policy.TrustPolicy]Decision
	err       error
}

var (
	errUnanswered = errors.New("it was not looked at in time")
	errNoDecision = errors.New("no decision was made")
	errInternal   = errors.New("internal error, see the hallmark-controller's log")
)

// by returns the decision of one policy.
func (a answer) by(p *policy.TrustPolicy) (Decision, error) {
	if a.err != nil {
		return nil, a.err
	}
	if decision := a.decisions[p]; decision != nil {
		return decision, nil
	}
	return nil, errNoDecision
}

// answerAll looks into the inquiries, a few at a time, and returns when all are answered or the context ends, whichever is first: a
// verification that ignores its context costs its own answer, not the whole response. answers[i] belongs to asked[i].
func (j *Judge) answerAll(ctx context.Context, asked []*inquiry) []answer {
	type numbered struct {
		n int
		answer
	}
	todo := make(chan int, len(asked))
	for n := range asked {
		todo <- n
	}
	close(todo)
	done := make(chan numbered, len(asked)) // room for all, so that no worker outlives its work
	for range min(workersPerRequest, len(asked)) {
		go func() {
			for n := range todo {
				done <- numbered{n, j.answer(ctx, asked[n])}
			}
		}()
	}
	answers := make([]answer, len(asked))
	for n := range answers {
		answers[n] = answer{err: errUnanswered}
	}
	for range asked {
		select {
		case one := <-done:
			answers[one.n] = one.answer
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// answer looks into one inquiry when a slot is free. A panic is an answer too: it denies, and is logged with its stack.
func (j *Judge) answer(ctx context.Context, asked *inquiry) (result answer) {
	select {
	case j.slots <- struct{}{}:
		defer func() { <-j.slots }()
	case <-ctx.Done():
		return answer{err: errUnanswered}
	}
	defer func() {
		if cause := recover(); cause != nil {
			j.config.Log.ErrorContext(ctx, "panic while an image was judged", "image", asked.image.Repository, "digest", asked.image.Digest,
				"panic", cause, "stack", string(debug.Stack()))
			result = answer{err: errInternal}
		}
	}()
	if ctx.Err() != nil { // both channels were ready
		return answer{err: errUnanswered}
	}
	decisions, err := j.config.Decide(ctx, asked.image, asked.policies)
	if err != nil {
		return answer{err: err}
	}
	if len(decisions) != len(asked.policies) {
		return answer{err: fmt.Errorf("%w by %d of %d policies", errNoDecision, len(asked.policies)-len(decisions), len(asked.policies))}
	}
	result.decisions = make(map[*policy.TrustPolicy]Decision, len(decisions))
	for i, p := range asked.policies {
		result.decisions[p] = decisions[i]
	}
	return result
}
