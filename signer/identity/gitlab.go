// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strings"

	"github.com/sigstore/fulcio/pkg/certificate"
)

// gitlab reads the id tokens of GitLab CI jobs. Claims: docs.gitlab.com,
// "OpenID Connect (OIDC) Authentication Using ID Tokens".
//
// Ids and flags are strings, runner_id is a number, and what GitLab does not
// know is null. The user_* claims name who started the pipeline; they are
// never copied. For a fork's merge request project_* may name the fork while
// the job runs elsewhere, which only job_project_id tells.
func gitlab() provider {
	return provider{
		name:       "gitlab",
		algorithms: []string{"RS256"},
		// An instance is its own issuer.
		defaultURL: func(issuer string) string { return issuer },
		read:       readGitLab,
	}
}

func readGitLab(r *reader, s Source) run {
	project, projectID := r.slug("project_path"), r.digits("project_id", required)
	namespace, namespaceID := r.slug("namespace_path"), r.digits("namespace_id", required)
	jobProjectID := r.digits("job_project_id", nullable)
	source := r.text("pipeline_source", required)
	r.digits("pipeline_id", required)
	jobID := r.digits("job_id", required)
	ref, refType := r.text("ref", required), r.text("ref_type", required)
	refPath := r.ref("ref_path", required)
	commit := r.commit("sha", required)
	config := r.text("ci_config_ref_uri", nullable)
	configCommit := r.commit("ci_config_sha", nullable)
	r.number("runner_id", nullable)
	runner := r.text("runner_environment", nullable)
	visibility := r.text("project_visibility", nullable)
	environment := r.text("environment", nullable)
	// Not in the certificate, but policy reads them: their types must hold.
	r.flag("ref_protected", optional)
	r.flag("environment_protected", nullable)
	for _, name := range []string{"deployment_tier", "environment_action", "job_project_path", "job_namespace_path"} {
		r.text(name, nullable)
	}
	r.digits("job_namespace_id", nullable)

	if r.err() != nil {
		return run{}
	}
	if config == "" || configCommit == "" {
		r.fail(ReasonMissingClaim, "the claims ci_config_ref_uri and ci_config_sha are missing: the pipeline's configuration is not in the project's repository")
	}
	if jobProjectID != "" && jobProjectID != projectID {
		r.fail(ReasonContradiction, "the job runs in project %s on behalf of project %s, as a fork's merge request does", jobProjectID, projectID)
	}
	if !strings.HasPrefix(project, namespace+"/") {
		r.fail(ReasonContradiction, "project %q is not in namespace %q", project, namespace)
	}
	r.checkGitLabRef(ref, refType, refPath)

	config = r.gitlabConfig(s, config, project, refPath)
	return run{
		id: r.uri(s.URL, project+"/-/jobs/"+jobID), san: config,
		extensions: certificate.Extensions{
			BuildSignerURI:                      config,
			BuildSignerDigest:                   configCommit,
			RunnerEnvironment:                   runner,
			SourceRepositoryURI:                 r.uri(s.URL, project),
			SourceRepositoryDigest:              commit,
			SourceRepositoryRef:                 refPath,
			SourceRepositoryIdentifier:          projectID,
			SourceRepositoryOwnerURI:            r.uri(s.URL, namespace),
			SourceRepositoryOwnerIdentifier:     namespaceID,
			BuildConfigURI:                      config,
			BuildConfigDigest:                   configCommit,
			BuildTrigger:                        source,
			RunInvocationURI:                    r.uri(s.URL, project+"/-/jobs/"+jobID),
			SourceRepositoryVisibilityAtSigning: visibility,
			DeploymentEnvironment:               environment,
		},
	}
}

// checkGitLabRef wants the short ref, its type and the full ref to say the
// same.
func (r *reader) checkGitLabRef(ref, refType, refPath string) {
	r.checkRefType(refPath, refType)
	for _, folder := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(refPath, folder); ok && short != ref {
			r.fail(ReasonContradiction, "ref %q is not the ref of %q", ref, refPath)
		}
	}
}

// gitlabConfig returns the URI of the pipeline's configuration. The claim has
// no scheme: host[:port]/project//file@ref, where GitLab fills in the
// project's own path and the pipeline's ref. Cutting what is known from both
// ends leaves the file, whatever "@" it contains.
func (r *reader) gitlabConfig(s Source, claim, project, refPath string) string {
	if r.err() != nil {
		return ""
	}
	_, base, _ := strings.Cut(s.URL, "://")
	rest, ours := strings.CutPrefix(claim, base+"/"+project+"//")
	file, atRef := strings.CutSuffix(rest, "@"+refPath)
	if !ours || !atRef || file == "" || strings.Contains(file, "@refs/") || climbs(file) {
		r.fail(ReasonContradiction, "ci_config_ref_uri %.200q is not a file of project %s/%s at %s", claim, base, project, refPath)
		return ""
	}
	return r.uri("https://"+base, project+"//"+file+"@"+refPath)
}
