// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"regexp"
	"strings"

	"github.com/sigstore/fulcio/pkg/certificate"
)

// The issuers of GitHub: that of github.com, and those of an enterprise on
// ghe.com, may be followed by the name of an enterprise with an issuer of its
// own; an Enterprise Server's is its own host.
var (
	githubPublicIssuer = regexp.MustCompile(`^https://token\.actions\.githubusercontent\.com(/[A-Za-z0-9_-]+)?$`)
	githubGHEIssuer    = regexp.MustCompile(`^https://token\.actions\.([a-z0-9-]+\.ghe\.com)(/[A-Za-z0-9_-]+)?$`)
	githubServerIssuer = regexp.MustCompile(`^(https://[A-Za-z0-9.-]+(:[0-9]+)?)/_services/token$`)
)

// github reads the tokens of GitHub Actions, on github.com, ghe.com and GitHub
// Enterprise Server. Claims: docs.github.com, "OpenID Connect reference".
//
// Two traps. Most numbers arrive as strings of digits. And for
// pull_request_target, workflow_run and issue_comment every ref claim names
// the base branch while a stranger's code may run: event_name is the claim
// that tells, so it is required here and allow-listed by policy.
func github() provider {
	return provider{
		name:       "github",
		algorithms: []string{"RS256"},
		defaultURL: githubURL,
		read:       readGitHub,
	}
}

// githubURL returns the site that an issuer belongs to. The same repository ids
// exist on every one of them, so a policy that goes by id goes by source, too.
func githubURL(issuer string) string {
	if githubPublicIssuer.MatchString(issuer) {
		return "https://github.com"
	}
	if m := githubGHEIssuer.FindStringSubmatch(issuer); m != nil {
		return "https://" + m[1]
	}
	if m := githubServerIssuer.FindStringSubmatch(issuer); m != nil {
		return m[1]
	}
	return ""
}

func readGitHub(r *reader, s Source) run {
	repository := r.slug("repository")
	repositoryID := r.digits("repository_id", required)
	owner := r.slug("repository_owner")
	ownerID := r.digits("repository_owner_id", required)
	event := r.text("event_name", required)
	ref, refType := r.ref("ref", required), r.text("ref_type", optional)
	commit := r.commit("sha", required)
	caller, callerCommit := r.workflow("workflow_ref"), r.commit("workflow_sha", required)
	job, jobCommit := r.workflow("job_workflow_ref"), r.commit("job_workflow_sha", required)
	runner := r.text("runner_environment", required)
	runID, attempt := r.digits("run_id", required), r.digits("run_attempt", required)
	r.digits("run_number", required)
	workflowName := r.text("workflow", optional)
	visibility := r.text("repository_visibility", optional)
	environment := r.text("environment", optional)
	// Not in the certificate, but policy reads them: their types must hold.
	r.flag("ref_protected", optional)
	for _, name := range []string{"base_ref", "head_ref", "actor", "enterprise", "environment_node_id"} {
		r.text(name, optional)
	}
	for _, name := range []string{"actor_id", "enterprise_id", "check_run_id"} {
		r.digits(name, optional)
	}

	if r.err() != nil {
		return run{}
	}
	if first, name, ok := strings.Cut(repository, "/"); !ok || strings.Contains(name, "/") || !strings.EqualFold(first, owner) {
		r.fail(ReasonContradiction, "repository %q is not one of owner %q", repository, owner)
	}
	r.checkRefType(ref, refType)
	if strings.EqualFold(caller.repository, repository) && caller.ref != ref {
		r.fail(ReasonContradiction, "the workflow %q was not read from ref %q", caller, ref)
	}

	uri := r.uri(s.URL, repository+"/actions/runs/"+runID+"/attempts/"+attempt)
	signerURI := r.uri(s.URL, job.String())
	return run{id: uri, san: signerURI, extensions: certificate.Extensions{
		GithubWorkflowTrigger:               event,
		GithubWorkflowSHA:                   commit,
		GithubWorkflowName:                  workflowName,
		GithubWorkflowRepository:            repository,
		GithubWorkflowRef:                   ref,
		BuildSignerURI:                      signerURI,
		BuildSignerDigest:                   jobCommit,
		RunnerEnvironment:                   runner,
		SourceRepositoryURI:                 r.uri(s.URL, repository),
		SourceRepositoryDigest:              commit,
		SourceRepositoryRef:                 ref,
		SourceRepositoryIdentifier:          repositoryID,
		SourceRepositoryOwnerURI:            r.uri(s.URL, owner),
		SourceRepositoryOwnerIdentifier:     ownerID,
		BuildConfigURI:                      r.uri(s.URL, caller.String()),
		BuildConfigDigest:                   callerCommit,
		BuildTrigger:                        event,
		RunInvocationURI:                    uri,
		SourceRepositoryVisibilityAtSigning: visibility,
		DeploymentEnvironment:               environment,
	}}
}

// checkRefType refuses a branch that calls itself a tag and the reverse.
func (r *reader) checkRefType(ref, refType string) {
	if refType == "" {
		return
	}
	if refType != "branch" && refType != "tag" {
		r.fail(ReasonBadClaim, "the claim ref_type is %.40q, neither branch nor tag", refType)
	} else if strings.HasPrefix(ref, "refs/tags/") != (refType == "tag") {
		r.fail(ReasonContradiction, "ref %q is not a %s", ref, refType)
	}
}

// workflow is a workflow file at a ref: owner/repo/.github/workflows/f.yml@ref.
type workflow struct {
	repository string
	file       string // below .github/workflows/
	ref        string // a full ref, or a commit id
}

const workflowFolder = "/.github/workflows/"

// String returns the claim's form.
func (w workflow) String() string { return w.repository + workflowFolder + w.file + "@" + w.ref }

// workflow reads a workflow reference. Both file names and refs may contain
// "@" (dependabot's branches do), so the split is at the first "@" after a
// .yml or .yaml, and what follows must be a whole ref: any other reading of
// the text would name a file or a ref that nobody can create.
func (r *reader) workflow(name string) workflow {
	text := r.text(name, required)
	if text == "" {
		return workflow{}
	}
	w, ok := parseWorkflow(text)
	if !ok {
		r.fail(ReasonBadClaim, "the claim %s is %.200q, not owner/repository/.github/workflows/file.yml@ref", name, text)
	}
	return w
}

func parseWorkflow(text string) (workflow, bool) {
	repository, rest, ok := strings.Cut(text, workflowFolder)
	if !ok || !slugForm.MatchString(repository) || climbs(repository) || strings.Count(repository, "/") != 1 {
		return workflow{}, false
	}
	for i, c := range rest {
		isFile := strings.HasSuffix(rest[:i], ".yml") || strings.HasSuffix(rest[:i], ".yaml")
		if c != '@' || !isFile {
			continue
		}
		w := workflow{repository: repository, file: rest[:i], ref: rest[i+1:]}
		return w, !strings.Contains(w.file, "/") && (validRef(w.ref) || commitForm.MatchString(w.ref))
	}
	return workflow{}, false
}
