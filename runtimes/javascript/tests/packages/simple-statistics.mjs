import * as statistics from 'simple-statistics';

export default ({ values }) => {
  const pairs = values.map((each, at) => [at, each * 2 + (at % 3)]);
  const line = statistics.linearRegression(pairs);
  const bayes = new statistics.BayesianClassifier();
  bayes.train({ species: 'cat' }, 'animal');
  bayes.train({ colour: 'red' }, 'thing');
  const perceptron = new statistics.PerceptronModel();
  for (let at = 0; at < 20; at += 1) perceptron.train([at % 2, (at >> 1) % 2], at % 4 === 3 ? 1 : 0);
  return {
    middle: [statistics.mean(values), statistics.median(values), statistics.mode(values), statistics.geometricMean(values), statistics.harmonicMean(values), statistics.rootMeanSquare(values)],
    spread: [statistics.variance(values), statistics.sampleStandardDeviation(values), statistics.interquartileRange(values), statistics.medianAbsoluteDeviation(values), statistics.sampleSkewness(values), statistics.sampleKurtosis(values)],
    quantiles: [0.1, 0.5, 0.9].map((each) => statistics.quantile(values, each)),
    regression: [line, statistics.linearRegressionLine(line)(10), statistics.rSquared(pairs, statistics.linearRegressionLine(line)), statistics.sampleCorrelation(values, pairs.map(([, y]) => y))],
    distributions: [statistics.cumulativeStdNormalProbability(1.2), statistics.probit(0.3), statistics.errorFunction(0.5), statistics.binomialDistribution(4, 0.3), statistics.poissonDistribution(2)],
    clusters: [statistics.ckmeans(values, 3), statistics.jenks(values, 2), statistics.equalIntervalBreaks(values, 4)],
    tests: [statistics.tTest(values, 3), statistics.tTestTwoSample(values, [1, 2, 3]), statistics.chiSquaredDistributionTable[3][0.05]],
    learned: [bayes.score({ species: 'cat' }), perceptron.predict([1, 1]), perceptron.weights],
    others: [statistics.permutationsHeap([1, 2, 3]), statistics.combinations([1, 2, 3], 2), statistics.kernelDensityEstimation(values)(3), statistics.factorial(10), statistics.gamma(4.5)],
  };
};
