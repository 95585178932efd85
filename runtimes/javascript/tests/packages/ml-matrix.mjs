import { CholeskyDecomposition, EigenvalueDecomposition, LuDecomposition, Matrix, QrDecomposition, SVD, inverse, solve } from 'ml-matrix';

export default ({ values }) => {
  const a = new Matrix([[4, 1, 2], [1, 3, 0], [2, 0, 5]]);
  const b = Matrix.columnVector(values.slice(0, 3));
  const round = (matrix) => matrix.to2DArray().map((row) => row.map((each) => Number(each.toFixed(10))));
  return {
    text: String(a.mmul(Matrix.eye(3))),
    products: [a.mmul(b).to2DArray(), a.transpose().mul(2).to1DArray(), a.kroneckerProduct(Matrix.eye(2)).sum()],
    solved: round(solve(a, b)),
    inverse: round(inverse(a)),
    determinant: Number(new LuDecomposition(a).determinant.toFixed(9)),
    decompositions: [round(new QrDecomposition(a).upperTriangularMatrix), round(new CholeskyDecomposition(a).lowerTriangularMatrix), new SVD(a).diagonal.map((each) => each.toFixed(8)), new EigenvalueDecomposition(a).realEigenvalues.map((each) => each.toFixed(8))],
    statistics: [a.mean('row'), a.variance('column'), a.max(), a.maxIndex(), a.norm('max')],
    views: [a.subMatrix(0, 1, 1, 2).to2DArray(), a.getRow(1), a.clone().addRowVector([1, 2, 3]).to2DArray()],
    fault: (() => {
      try {
        return a.mmul(new Matrix(2, 2)).to2DArray();
      } catch (error) {
        return [error.name, error.message];
      }
    })(),
  };
};
