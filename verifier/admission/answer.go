// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// answer is what came of one question. The zero value denies and says that nothing came of it.
type answer struct {
	allowed bool
	reasons []string
	err     error
}

var errUnanswered = errors.New("it was not looked at in time")

// answerAll asks the questions, a few at a time, and returns when all are answered or the context ends, whichever is first: a verification
// that ignores its context costs its own answer, not the whole response. answers[i] belongs to questions[i].
func (j *Judge) answerAll(ctx context.Context, questions []question) []answer {
	type numbered struct {
		n int
		answer
	}
	todo := make(chan int, len(questions))
	for n := range questions {
		todo <- n
	}
	close(todo)
	done := make(chan numbered, len(questions)) // room for all, so that no worker outlives its question
	for range min(workersPerRequest, len(questions)) {
		go func() {
			for n := range todo {
				done <- numbered{n, j.answer(ctx, questions[n])}
			}
		}()
	}
	answers := make([]answer, len(questions))
	for n := range answers {
		answers[n] = answer{err: errUnanswered}
	}
	for range questions {
		select {
		case one := <-done:
			answers[one.n] = one.answer
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// answer asks one question when a slot is free. A panic is an answer too: it denies, and is logged with its stack.
func (j *Judge) answer(ctx context.Context, q question) (result answer) {
	select {
	case j.slots <- struct{}{}:
		defer func() { <-j.slots }()
	case <-ctx.Done():
		return answer{err: fmt.Errorf("%w: %w", errUnanswered, ctx.Err())}
	}
	defer func() {
		if cause := recover(); cause != nil {
			j.config.Log.ErrorContext(ctx, "panic while an image was judged", "image", q.image.Repository, "digest", q.image.Digest, "panic", cause, "stack", string(debug.Stack()))
			result = answer{err: errors.New("internal error, see the hallmark-controller's log")}
		}
	}()
	if err := ctx.Err(); err != nil {
		return answer{err: fmt.Errorf("%w: %w", errUnanswered, err)}
	}
	decision, err := j.config.Decide(ctx, q.policy, q.image)
	switch {
	case err != nil:
		return answer{err: err}
	case decision == nil:
		return answer{err: errors.New("no decision was made")}
	case decision.Allowed():
		return answer{allowed: true}
	default:
		return answer{reasons: decision.Reasons()}
	}
}
