/** A run of code that is not deployed (`POST /apps/{app}/test`). */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { withProgress, type ApiError } from '../api';
import { inApp } from '../base';
import type { FunctionInfo, NewFunction, TestAnswer } from '../types';
import { Button, CodeBlock, Section, formatDuration } from '../ui';
import { ParamsEditor, useParams } from './params';
import { ProgressView, useProgress } from './progress';
import { encoded, exportedSource, type Source } from './source';

export function TestRun({
  info,
  app,
  source,
  onRun,
  onError,
}: {
  readonly info: FunctionInfo;
  readonly app: string;
  readonly source: Source;
  /** A test begins. */
  readonly onRun: () => void;
  /** The error may name a place in the code. */
  readonly onError: (error: ApiError | undefined) => void;
}): JSX.Element {
  const params = useParams(info, app);
  const [answer, setAnswer] = useState<TestAnswer>();
  const progress = useProgress(async (onStep) => {
    setAnswer(undefined);
    // Values of variables are in the file of the application alone.
    const env = info.Env.length === 0 ? {} : (await exportedSource(app, info, { whole: true })).env;
    const body: NewFunction = {
      Name: info.Name,
      Runtime: info.Runtime,
      MemoryMB: info.MemoryMB,
      CPUDemand: info.CPUDemand,
      Timeout: info.Timeout,
      Handler: info.Handler,
      Network: info.Network,
      Env: env,
      TarFunctionCode: await encoded(source),
    };
    const args: unknown = JSON.parse(params.json ?? '{}');
    const found = await withProgress<TestAnswer>('POST', inApp(app, '/test'), { json: { ...body, args }, onStep });
    setAnswer(found);
  });
  useEffect(() => {
    if (!progress.busy && (progress.error !== undefined || progress.took !== undefined)) {
      params.remember(progress.error === undefined);
    }
  }, [progress.error, progress.took]);
  useEffect(() => onError(progress.error), [progress.error]);
  const secrets = info.Secrets ?? [];
  const run = (): void => {
    if (params.json === undefined) return;
    onRun();
    void progress.run();
  };
  return (
    <Section title="Test this code">
      <p class="muted">
        Runs what is in the editor once, before it is deployed. Its calls reach the functions as they are deployed.
        {secrets.length > 0 && ` Its secrets (${secrets.join(', ')}) are not set in a test.`}
      </p>
      <ParamsEditor of={params} onRun={run} label="Parameters of the test as JSON" />
      <div class="form-actions">
        <Button icon="play" busy={progress.busy} disabled={params.json === undefined} onClick={run}>
          Run the test
        </Button>
      </div>
      <ProgressView of={progress} done="Tested" />
      {answer !== undefined && (
        <div class="stack tight">
          <CodeBlock label="Result" wrap text={JSON.stringify(answer.answer.result ?? null, null, 2)} />
          <p class="muted">Execution took {formatDuration(answer.milliseconds * 1000)}.</p>
          {answer.output.trim() !== '' && <CodeBlock label="Log" wrap text={answer.output.trimEnd()} />}
        </div>
      )}
    </Section>
  );
}
